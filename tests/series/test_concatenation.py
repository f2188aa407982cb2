"""Parts of a concatenation."""

import pytest

from lidcflow.dicom.records import VerdictReason
from tests.enhanced import to_enhanced
from tests.series.stacks import STEPS, at, only_verdict


def parts_of(ct_series, folder, *, n_parts=2, total=2, numbers=(1, 2), uids=("1.9", "1.9")):
    """Write the parts of a concatenation of 20 slices."""
    z_mm = STEPS
    for part in range(1, n_parts + 1):
        own = z_mm[(part - 1) * 20 // n_parts : part * 20 // n_parts]

        def change(dataset, part=part):
            dataset.SOPInstanceUID = f"1.9.{part}"
            dataset.ConcatenationUID, dataset.InConcatenationNumber = uids[part - 1], numbers[part - 1]
            if total:
                dataset.InConcatenationTotalNumber = total

        single = ct_series(folder / f"{part}", series_uid="1.2.3", patient_id="P1", StudyInstanceUID="1.5", **at(own))
        to_enhanced(single, change=change)
    return folder


@pytest.mark.parametrize("total", [2, None])
def test_the_parts_of_a_concatenation_are_one_volume(ct_series, tmp_path, total):
    verdict = only_verdict(parts_of(ct_series, tmp_path, total=total))

    assert [source.z_mm for source in verdict.series.slices] == STEPS
    assert {source.sop_instance_uid for source in verdict.series.slices} == {"1.9.1", "1.9.2"}
    assert verdict.sentence == "20 slices of 32 x 32, 2.50 mm apart"


@pytest.mark.parametrize("lost", ["1", "2"])
def test_a_concatenation_that_lacks_a_part_is_refused_by_name(ct_series, tmp_path, lost):
    folder = parts_of(ct_series, tmp_path)
    (folder / lost / "enhanced.dcm").unlink()

    verdict = only_verdict(folder)

    assert verdict.reason is VerdictReason.INCOMPLETE
    assert f"got 1 of 2 parts (InConcatenationNumber {3 - int(lost)}); find part {lost}" in verdict.sentence


def test_parts_of_two_concatenations_are_not_joined(ct_series, tmp_path):
    verdict = only_verdict(parts_of(ct_series, tmp_path, uids=("1.91", "1.92")))

    assert verdict.reason is VerdictReason.MULTI_FRAME


def test_two_parts_of_one_number_are_refused(ct_series, tmp_path):
    verdict = only_verdict(parts_of(ct_series, tmp_path, numbers=(1, 1)))

    assert verdict.reason is VerdictReason.INCOMPLETE
