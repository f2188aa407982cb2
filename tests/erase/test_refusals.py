"""What was erased and comes again is refused."""

import pydicom
import pytest
from pydicom.config import disable_value_validation

from lidcflow.erase.refusals import erased_uids, without_erased
from lidcflow.erase.subject import Subject
from lidcflow.privacy import PUBLIC_KEY, hash_patient_id
from lidcflow.series.find import VerdictReason, index_folder


def test_every_series_of_an_erased_patient_is_refused_with_the_way_out_and_others_are_not(ct_series, tmp_path):
    ct_series(tmp_path / "a", patient_id="Ada", series_uid="1.2.3")
    ct_series(tmp_path / "b", patient_id="Grace", series_uid="1.2.4")
    key = hash_patient_id("Ada", PUBLIC_KEY)

    index = without_erased(index_folder(tmp_path, secret=PUBLIC_KEY), {Subject("patient", key)})

    refused, usable = index
    assert (refused.reason, usable.reason) == (VerdictReason.ERASED, VerdictReason.USABLE)
    assert refused.study_instance_uid
    assert "`--forget KEY` would let it in again" in refused.sentence
    assert key not in refused.sentence
    assert erased_uids(index) == {"1.2.3"}


def test_a_series_that_can_not_be_used_is_refused_as_erased_when_its_study_was(ct_series, tmp_path):
    ct_series(tmp_path / "a", series_uid="1.2.3", n=3)
    (verdict,) = found = index_folder(tmp_path, secret=PUBLIC_KEY)

    (refused,) = without_erased(found, {Subject("study", verdict.study_instance_uid)})

    assert (verdict.reason, refused.reason) == (VerdictReason.TOO_FEW_SLICES, VerdictReason.ERASED)


def of_another_patient(folder):
    (other,) = [file for file in folder.iterdir() if file.name == "000002.dcm"]
    image = pydicom.dcmread(other)
    image.PatientID = "Grace"
    image.save_as(other)


def with_a_gap(folder):
    for number in (5, 6):
        (folder / f"{number:06d}.dcm").unlink()


def with_a_name_for_a_uid(folder):
    for file in folder.iterdir():
        image = pydicom.dcmread(file)
        with disable_value_validation():
            image.SeriesInstanceUID = "A/B C"
            image.save_as(file)


def with_unreadable_files(folder):
    for file in sorted(folder.iterdir())[1:]:
        file.write_bytes(file.read_bytes()[:300])


FAULTS = {
    VerdictReason.MIXED_IDENTITY: of_another_patient,
    VerdictReason.MISSING_SLICES: with_a_gap,
    VerdictReason.BAD_UID: with_a_name_for_a_uid,
    VerdictReason.TOO_FEW_SLICES: with_unreadable_files,
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_that_a_series_was_erased_comes_before_anything_that_is_wrong_with_it(ct_series, tmp_path, fault):
    fault(ct_series(tmp_path / "a", n=12, patient_id="Ada", series_uid="1.2.3"))
    found = index_folder(tmp_path, secret=PUBLIC_KEY)
    (verdict,) = found
    study = verdict.studies[0]

    for subject in (Subject("patient", hash_patient_id("Ada", PUBLIC_KEY)), Subject("study", study)):
        (refused,) = without_erased(found, {subject})
        assert refused.reason is VerdictReason.ERASED
        assert refused.example is None
    (other,) = without_erased(found, {Subject("patient", hash_patient_id("Barbara", PUBLIC_KEY))})

    assert FAULTS[verdict.reason] is fault
    assert other == verdict


def test_a_series_without_a_patient_id_is_of_the_patient_that_its_study_stands_for(ct_series, tmp_path):
    ct_series(tmp_path / "a", n=3, series_uid="1.2.3", PatientID=None)
    (verdict,) = found = index_folder(tmp_path, secret=PUBLIC_KEY)
    key = hash_patient_id(verdict.study_instance_uid, PUBLIC_KEY)

    (refused,) = without_erased(found, {Subject("patient", key)})

    assert refused.reason is VerdictReason.ERASED
