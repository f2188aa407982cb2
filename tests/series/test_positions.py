"""Slices on one line."""

import pytest

from lidcflow.dicom.records import VerdictReason
from tests.series.stacks import STEPS, at, only_verdict

SHIFTED = {
    "a block": lambda i: -40.0 if 6 <= i < 14 else -100.0,
    "every other slice": lambda i: -40.0 if i % 2 else -100.0,
    "the lower half": lambda i: -40.0 if i >= 10 else -100.0,
    "one in the middle": lambda i: -40.0 if i == 8 else -100.0,
    "a little more than half a pixel": lambda i: -94.5 if 6 <= i < 14 else -100.0,
}


@pytest.mark.parametrize("x_mm", SHIFTED.values(), ids=SHIFTED)
def test_slices_to_the_side_of_the_others_are_refused(ct_series, tmp_path, x_mm):
    verdict = only_verdict(ct_series(tmp_path, **at(STEPS, x_mm)))

    assert verdict.reason is VerdictReason.MIXED_GEOMETRY
    assert "ImagePositionPatient must move along one line" in verdict.sentence


def test_the_refusal_names_the_shifted_slice_and_how_far(ct_series, tmp_path):
    verdict = only_verdict(ct_series(tmp_path, **at(STEPS, SHIFTED["a block"])))

    assert "got 8 of 20 slices up to 60.0 mm to the side of the others" in verdict.sentence
    assert "the first at z = -15.00 mm, 60.0 mm to the side, in instance 1.2." in verdict.sentence


@pytest.mark.parametrize("x_mm", [lambda i: -100 + 4.0 * (i % 2), lambda i: -100 + 0.04 * i])
def test_origins_within_half_a_pixel_of_a_line_are_used(ct_series, tmp_path, x_mm):
    assert only_verdict(ct_series(tmp_path, **at(STEPS, x_mm))).flags == ()


def test_a_leaning_stack_is_still_told_as_tilt(ct_series, tmp_path):
    assert only_verdict(ct_series(tmp_path, **at(STEPS, lambda i: -100.0 + 0.1 * i))).reason is VerdictReason.TILTED
