"""Distances of slices, even and not."""

import pytest

from lidcflow.config import PreprocessConfig
from lidcflow.dicom.records import VerdictReason
from tests.series.stacks import at, only_verdict

GAPS = {
    "every third": [k for k in range(36) if k % 3 != 2],
    "every fourth": [k for k in range(36) if k % 4 != 2],
    "every other one of the lower half": [*range(13), *range(14, 40, 2)],
    "two of five": [k for k in range(50) if k % 5 in (0, 1, 3)],
}


@pytest.mark.parametrize("kept", GAPS.values(), ids=GAPS)
def test_missing_slices_are_told_however_regular(ct_series, tmp_path, kept):
    numbered = {"InstanceNumber": lambda i: kept[i] + 1}
    folder = ct_series(tmp_path, **at([-2.5 * k for k in kept]), **numbered)
    first = next(i for i in range(len(kept)) if kept[i + 1] - kept[i] == 2)

    verdict = only_verdict(folder)
    accepted = only_verdict(folder, config=PreprocessConfig(gaps="accept"))

    assert verdict.reason is VerdictReason.MISSING_SLICES
    assert f"near z = {-2.5 * (kept[first] + 1):.1f} mm" in verdict.sentence or kept[:13] == [*range(13)]
    assert accepted.flags == ("missing-slices-accepted",)
    assert accepted.series.slice_spacing_mm == 2.5


def test_a_protocol_of_two_distances_is_no_gap_where_the_slices_are_as_thick(ct_series, tmp_path):
    z_mm = [*[-5.0 * k for k in range(20)], *[-95 - 2.5 * k for k in range(1, 11)]]

    verdict = only_verdict(ct_series(tmp_path, **at(z_mm), SliceThickness=lambda i: 5 if i < 20 else 2.5))
    thin = only_verdict(ct_series(tmp_path / "thin", **at(z_mm), SliceThickness=2.5))

    assert verdict.flags == ("spacing-varies",)
    assert thin.reason is VerdictReason.MISSING_SLICES
