"""Key objects and structured reports, judged by dcmtk, by David Clunie's validator and by what they refer to."""

import subprocess
import sys
from datetime import datetime

import pydicom
import pytest

from lidcflow.dicom.quiet import quiet
from lidcflow.documents.write import KEY_OBJECTS, STRUCTURED_REPORT
from lidcflow.report.recommendation import Verdict
from tests.documents.contents import FILES, IDENTITY, items, referred, text_of
from tests.documents.small_study import CREATED_NS, answer, series_in
from tests.enhanced import to_enhanced

VERDICTS = Verdict.__args__


def evidence(document):
    (study,) = document.CurrentRequestedProcedureEvidenceSequence
    (series,) = study.ReferencedSeriesSequence
    return study, series, {one.ReferencedSOPInstanceUID for one in series.ReferencedSOPSequence}


@pytest.mark.parametrize("verdict", VERDICTS)
@pytest.mark.parametrize("name", FILES)
def test_the_validator_finds_no_error_and_dcmtk_reads_the_document(
    documented, source, verdict, name, dciodvfy, dsrdump
):
    folder, _ = documented(source, verdict)

    assert dciodvfy(folder / name) == []
    assert "Research use only, not for diagnosis." in dsrdump(folder / name)


@pytest.mark.real
@pytest.mark.parametrize("verdict", VERDICTS)
def test_the_documents_of_a_real_series_are_sound(documented, real_data, verdict, dciodvfy, dsrdump):
    folder, said = documented(real_data / "LIDC-IDRI", verdict)

    for name in FILES:
        assert dciodvfy(folder / name) == []
        assert "(research use only)" in dsrdump(folder / name)
        assert pydicom.dcmread(folder / name).StudyInstanceUID == said.study_instance_uid


def test_references_to_a_multi_frame_object_name_its_frames(documented, source, dciodvfy, dsrdump):
    folder, said = documented(to_enhanced(source))

    keys = pydicom.dcmread(folder / KEY_OBJECTS)
    ((uid, frames),) = referred(keys)
    wanted = {image.frame_number for found in said.ranges for image in found.peak_source_images}
    assert (uid, set(frames)) == (said.slices[0].source_images[0].sop_instance_uid, wanted)
    report = referred(pydicom.dcmread(folder / STRUCTURED_REPORT))
    assert all(frames for _, frames in report)
    assert [dciodvfy(folder / name) for name in FILES] == [[], []]
    assert "frames" in dsrdump(folder / KEY_OBJECTS)


def test_a_series_that_was_not_evaluated_is_named_by_one_image_and_the_reason(documented, source):
    folder, said = documented(source, "not-evaluated")

    keys, report = (pydicom.dcmread(folder / name) for name in FILES)

    assert [uid for uid, _ in referred(keys)] == [series_in(source).slices[0].sop_instance_uid]
    assert keys.ConceptNameCodeSequence[0].CodeMeaning == "For Research"
    assert said.reason.sentence in text_of(keys, "Key Object Description")
    assert said.reason.sentence in text_of(report, "Comment")
    assert items(report, "NUM") == []


@pytest.mark.parametrize("verdict", VERDICTS)
def test_every_image_that_is_referred_to_is_evidence_and_of_the_series(documented, source, verdict):
    folder, said = documented(source, verdict)

    for name in FILES:
        document = pydicom.dcmread(folder / name)
        study, series, uids = evidence(document)
        assert (study.StudyInstanceUID, series.SeriesInstanceUID) == (said.study_instance_uid, said.series_instance_uid)
        assert {uid for uid, _ in referred(document)} == uids
        assert uids <= {one.sop_instance_uid for one in series_in(source).slices}


def test_documents_are_series_of_their_own_in_the_same_study_of_the_same_patient(documented, source):
    folder, _ = documented(source)
    image = pydicom.dcmread(source / "000001.dcm")

    keys, report = (pydicom.dcmread(folder / name) for name in FILES)

    for document in (keys, report):
        assert document.StudyInstanceUID == image.StudyInstanceUID
        assert {keyword: document[keyword].value for keyword in IDENTITY} == IDENTITY
        assert document.PatientID == "P1"
        assert document.SeriesDescription == "lidcflow: series 3, slices to look at (research use only)"
    assert (keys.SeriesNumber, report.SeriesNumber) == (3001, 3002)
    assert len({image.SeriesInstanceUID, keys.SeriesInstanceUID, report.SeriesInstanceUID}) == 3


def test_the_same_answer_gives_the_same_bytes(documented, source):
    once, _ = documented(source, name="once")
    again, _ = documented(source, name="again")

    for name in FILES:
        assert (once / name).read_bytes() == (again / name).read_bytes()


def test_a_document_is_dated_when_the_recommendation_was_made(documented, tmp_path, ct_series):
    folder, _ = documented(ct_series(tmp_path / "source", TimezoneOffsetFromUTC="+0900"))

    for name in FILES:
        document = pydicom.dcmread(folder / name)
        made = f"{document.ContentDate}{document.ContentTime}{document.TimezoneOffsetFromUTC}"
        assert datetime.strptime(made, "%Y%m%d%H%M%S%z").timestamp() == CREATED_NS // 10**9
        assert (document.InstanceCreationDate, document.SeriesTime) == (document.ContentDate, document.ContentTime)


def test_another_release_adds_documents_and_a_repeat_replaces_them(source):
    from lidcflow.documents.uids import instance_uid, series_uid, tracking_uid

    series = series_in(source)
    said, again = answer(series, "ranges"), answer(series, "ranges")
    later = said.model_copy(update={"release": said.release.model_copy(update={"version": 4})})

    assert instance_uid(said, "key-objects") == instance_uid(again, "key-objects")
    assert series_uid(said, "structured-report") == series_uid(again, "structured-report")
    assert tracking_uid(said, "slice 3") == tracking_uid(again, "slice 3")
    uids = [
        make(one, kind)
        for make in (instance_uid, series_uid)
        for one in (said, later)
        for kind in ("key-objects", "structured-report")
    ]
    assert len(set(uids)) == len(uids)
    assert all(pydicom.uid.UID(uid).is_valid for uid in uids)


def test_a_series_number_too_long_for_the_description_is_left_out(documented, tmp_path, ct_series):
    folder, _ = documented(ct_series(tmp_path / "source", SeriesNumber=2_000_000_000), "nothing-above-threshold")

    report = pydicom.dcmread(folder / STRUCTURED_REPORT)

    assert report.SeriesDescription == "lidcflow: none above threshold (research use only)"
    assert report.SeriesNumber == 9002


def test_highdicom_is_imported_by_those_who_write_documents_alone():
    program = "import sys, lidcflow.documents.write; print('highdicom' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout == b"False\n"


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
def test_documents_repeat_uids_that_are_longer_than_the_standard_allows(ct_series, documented, tmp_path, keyword):
    long_uid = "1.2." + "3" * 61
    values = (lambda i: f"{long_uid}{i}") if keyword == "SOPInstanceUID" else f"{long_uid}7"

    folder, said = documented(ct_series(tmp_path / "ct", n=8, size=32, **{keyword: values}))

    for name in FILES:
        with quiet():
            document = pydicom.dcmread(folder / name)
            (study,) = document.CurrentRequestedProcedureEvidenceSequence
            (series,) = study.ReferencedSeriesSequence
            images = {image.ReferencedSOPInstanceUID for image in series.ReferencedSOPSequence}
            named = study.StudyInstanceUID, series.SeriesInstanceUID
        assert named == (said.study_instance_uid, said.series_instance_uid)
        assert images >= {image.sop_instance_uid for found in said.ranges for image in found.peak_source_images}
