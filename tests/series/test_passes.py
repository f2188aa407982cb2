"""Passes of the scanner that share a series."""

import numpy as np
import pytest

from lidcflow.dicom.records import VerdictReason
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.series.find import index_folder
from tests.enhanced import to_enhanced

FIRST = [-5.0 * k for k in range(20)]


def only_verdict(folder):
    (verdict,) = index_folder(folder, secret=PUBLIC_KEY)
    return verdict


def at(z_mm):
    return {"n": len(z_mm), "size": 16, "ImagePositionPatient": lambda i: [-100.0, -100.0, z_mm[i]]}


def two_passes(offset_mm, **overrides):
    """Lay out a second pass of 20 slices that starts so much lower than the first."""
    return at([*FIRST, *[z - offset_mm for z in FIRST]]) | {"InstanceNumber": 1} | overrides


def by_pass(first, second):
    return lambda i: first if i < 20 else second


TOLD_APART = {
    "AcquisitionNumber": (by_pass(1, 2), "AcquisitionNumber 1 on 20, 2 on 20 of 40 slices"),
    "TemporalPositionIdentifier": (by_pass(1, 2), "TemporalPositionIdentifier 1 on 20, 2 on 20 of 40 slices"),
    "SliceThickness": (by_pass(5, 1.25), "SliceThickness 5 on 20, 1.25 on 20 of 40 slices"),
    "KVP": (by_pass(120, 80), "KVP 120 on 20, 80 on 20 of 40 slices"),
    "ContrastBolusAgent": (by_pass("", "OMNIPAQUE"), "ContrastBolusAgent False on 20, True on 20 of 40 slices"),
    "AcquisitionTime": (by_pass("100000", "100040.5"), "2 passes of 20, 20 slices by their AcquisitionTime"),
    "InstanceNumber": (lambda i: i + 1, "2 passes of 20, 20 slices by their InstanceNumber"),
}


@pytest.mark.parametrize("offset_mm", [2.5, 2.0, 82.0])
@pytest.mark.parametrize(("keyword", "values", "found"), [(k, *v) for k, v in TOLD_APART.items()], ids=TOLD_APART)
def test_passes_that_lie_in_each_other_are_refused_by_what_tells_them_apart(
    ct_series, tmp_path, keyword, values, found, offset_mm
):
    verdict = only_verdict(ct_series(tmp_path, **two_passes(offset_mm, **{keyword: values})))

    assert verdict.reason is VerdictReason.MIXED_ACQUISITIONS
    assert found in verdict.sentence
    assert "in instance 1.2." in verdict.sentence


def test_passes_that_are_both_counted_from_one_are_refused(ct_series, tmp_path):
    verdict = only_verdict(ct_series(tmp_path, **two_passes(2.5, InstanceNumber=lambda i: i % 20 + 1)))

    assert verdict.reason is VerdictReason.MIXED_ACQUISITIONS


def test_passes_whose_slices_have_a_time_each_are_refused(ct_series, tmp_path):
    verdict = only_verdict(ct_series(tmp_path, **two_passes(2.5, AcquisitionTime=lambda i: f"1000{i:02d}.25")))

    assert verdict.reason is VerdictReason.MIXED_ACQUISITIONS


@pytest.mark.parametrize("offset_mm", [2.0, 82.0])
def test_passes_that_nothing_tells_apart_are_known_by_their_distances(ct_series, tmp_path, offset_mm):
    z_mm = sorted([*FIRST, *[z - offset_mm for z in FIRST]], reverse=True)

    verdict = only_verdict(ct_series(tmp_path, **at(z_mm)))

    assert verdict.reason is VerdictReason.MIXED_ACQUISITIONS
    assert "distances of 2.00 and 3.00 mm in turn" in verdict.sentence


@pytest.mark.parametrize("keyword", ["ContrastBolusAgent", "AcquisitionTime", "AcquisitionNumber", "KVP"])
def test_passes_at_the_same_positions_are_refused_by_what_tells_them_apart(ct_series, tmp_path, keyword):
    verdict = only_verdict(ct_series(tmp_path, **two_passes(0.0, **{keyword: TOLD_APART[keyword][0]})))

    assert verdict.reason is VerdictReason.MIXED_ACQUISITIONS
    assert f"values of {keyword}" in verdict.sentence


def test_the_frames_of_an_enhanced_object_may_be_of_two_passes(ct_series, tmp_path):
    folder = to_enhanced(ct_series(tmp_path, **two_passes(2.5, AcquisitionNumber=by_pass(1, 2))))

    assert only_verdict(folder).reason is VerdictReason.MIXED_ACQUISITIONS


def test_frames_in_no_order_of_place_are_of_two_passes(ct_series, tmp_path):
    assert only_verdict(to_enhanced(ct_series(tmp_path, **two_passes(2.5)))).reason is VerdictReason.MIXED_ACQUISITIONS


SOUND = {
    "one after the other": two_passes(100.0, AcquisitionNumber=by_pass(1, 2)),
    "one after the other, a short step between": two_passes(97.0, AcquisitionNumber=by_pass(1, 2)),
    "one after the other, both counted from one": two_passes(100.0, InstanceNumber=lambda i: i % 20 + 1),
    "one after the other, the kVp changes": two_passes(100.0, KVP=by_pass(120, 100)),
    "a number for each slice": at(FIRST) | {"AcquisitionNumber": lambda i: i + 1},
    "a number for each turn of four slices": at(FIRST) | {"AcquisitionNumber": lambda i: i // 4 + 1},
    "numbers in no order": at(FIRST) | {"AcquisitionNumber": lambda i: 1 + (i * i // 3) % 2},
    "one slice of another number": at(FIRST) | {"AcquisitionNumber": lambda i: 1 + (i == 7)},
    "a measured thickness": at(FIRST) | {"SliceThickness": lambda i: 5 + 0.01 * (i % 3)},
    "a time for each slice": at(FIRST) | {"AcquisitionTime": lambda i: f"1000{i:02d}.5"},
    "a time for each slice, downwards": at(FIRST) | {"AcquisitionTime": lambda i: f"1000{59 - i:02d}.5"},
    "numbers in the order of names": at(FIRST)
    | {"InstanceNumber": lambda i: sorted(map(str, range(1, 21))).index(str(i + 1)) + 1},
    "numbers in no order at all": at(FIRST)
    | {"InstanceNumber": lambda i: [3, 17, 8, 12, 1, 19, 5, 14, 10, 2, 16, 7, 20, 4, 11, 18, 6, 13, 9, 15][i]},
    "the same number on all": at(FIRST) | {"InstanceNumber": 1},
}


@pytest.mark.parametrize("overrides", SOUND.values(), ids=SOUND)
def test_passes_one_after_the_other_and_sloppy_numbers_are_used_whole(ct_series, tmp_path, overrides):
    verdict = only_verdict(ct_series(tmp_path, **overrides))

    assert verdict.usable
    assert (len(verdict.series.slices), verdict.set_aside) == (overrides["n"], 0)


def test_several_acquisitions_are_flagged(ct_series, tmp_path):
    verdict = only_verdict(ct_series(tmp_path, **two_passes(100.0, AcquisitionNumber=by_pass(1, 2))))

    assert verdict.flags == ("several-acquisitions",)


def test_the_slice_by_which_two_passes_overlap_is_set_aside(ct_series, tmp_path):
    verdict = only_verdict(ct_series(tmp_path, **two_passes(92.0, AcquisitionNumber=by_pass(1, 2))))

    assert verdict.usable
    assert verdict.set_aside == 1
    assert {"files-set-aside", "several-acquisitions"} <= set(verdict.flags)
    assert np.diff([source.z_mm for source in verdict.series.slices]).max() < 0
