"""What was erased and comes again is refused."""

from dataclasses import replace
from types import SimpleNamespace

import pydicom
import pytest
from pydicom.config import disable_value_validation

from lidcflow.dicom.records import VerdictReason
from lidcflow.erase.refusals import erased_uids, recognizes, without_erased
from lidcflow.erase.subject import Subject
from lidcflow.privacy import PUBLIC_KEY, hash_patient_id
from lidcflow.series.find import index_folder
from lidcflow.series.verdicts import OtherFiles, Verdict

KEY, STUDY, SERIES = "0123456789abcdef", "1.2", "1.2.3"


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


WHOSE = {
    "patient": (KEY, "its patient's data were"),
    "study": (STUDY, "its study was"),
    "series": (SERIES, "its series was"),
}


@pytest.mark.parametrize("kind", WHOSE)
@pytest.mark.parametrize("usable", [True, False])
def test_a_refusal_says_what_was_erased_and_keeps_only_what_names_the_series(ct_series, tmp_path, kind, usable):
    key, whose = WHOSE[kind]
    found = replaced(index_folder(ct_series(tmp_path / "a", n=8), secret=PUBLIC_KEY), usable=usable)

    index = without_erased(found, {Subject(kind, key)})

    sentence = (
        f"series 1.2.3: must not be of what was erased, but {whose}; "
        f"`lidcflow erase --list` lists the {kind}, and `--forget KEY` would let it in again"
    )
    assert list(index) == [Verdict(SERIES, VerdictReason.ERASED, sentence, 8, 2, study_instance_uid=STUDY)]
    assert index.beside == OtherFiles(archives=1)


def replaced(index, *, usable):
    """Return an index whose one series has the names of these tests and two files that are set aside."""
    (verdict,) = index
    names = {"series_instance_uid": SERIES, "patients": (KEY,), "studies": (STUDY,), "set_aside": 2}
    series = replace(verdict.series, study_instance_uid=STUDY) if usable else None
    study = None if usable else STUDY
    changed = replace(verdict, series=series, study_instance_uid=study, **names)
    return replace(index, verdicts=(changed,), beside=OtherFiles(archives=1))


def test_the_patient_is_named_first_where_several_erasures_cover_a_series(ct_series, tmp_path):
    found = replaced(index_folder(ct_series(tmp_path / "a", n=8), secret=PUBLIC_KEY), usable=True)

    (refused,) = without_erased(found, {Subject(kind, key) for kind, (key, _) in WHOSE.items()})

    assert "its patient's data were" in refused.sentence


def test_an_index_is_the_same_where_nothing_was_erased(ct_series, tmp_path):
    found = index_folder(ct_series(tmp_path / "a", n=8), secret=PUBLIC_KEY)

    assert without_erased(found, set()) is found
    assert without_erased(found, {Subject("series", "1.9")}) == found


def header(patient_key=None, study="9", series="9.9"):
    facts = SimpleNamespace(patient_key=patient_key, study_instance_uid=study, series_instance_uid=series)
    return SimpleNamespace(facts=facts)


def test_a_header_is_recognized_by_its_patient_its_study_or_its_series_and_by_nothing_else():
    is_erased = recognizes({Subject(kind, key) for kind, (key, _) in WHOSE.items()}, PUBLIC_KEY)

    assert is_erased(header(patient_key=KEY))
    assert is_erased(header(study=STUDY))
    assert is_erased(header(series=SERIES))
    assert not is_erased(header(patient_key="f" * 16))
    assert not is_erased(header(study=SERIES, series=STUDY))


def test_a_header_without_a_patient_is_recognized_by_the_patient_that_its_study_stands_for():
    is_erased = recognizes({Subject("patient", hash_patient_id("9", PUBLIC_KEY))}, PUBLIC_KEY)

    assert is_erased(header(study="9"))
    assert not is_erased(header(study="8"))
