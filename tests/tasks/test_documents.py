"""Documents of readings: written once from the stored recommendation, with what the source's headers say."""

import json

import pydicom
import pytest

from lidcflow.config import Access, Config, DeliveryConfig
from lidcflow.errors import ConfigError
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.report.page import write_report
from lidcflow.report.rank import not_evaluated
from lidcflow.series.find import index_folder
from lidcflow.source.places import parse_source
from tasks.documents import check_documents, document, example_files, make
from tasks.infer import page_folder, result_of
from tasks.infer_volumes import write_all_documents
from tests.documents.small_study import RELEASE, answer

KEY_OBJECTS = "key-objects.dcm"


@pytest.fixture
def source(tmp_path, ct_series):
    """A series to read, one that is too short, and one that is no CT; their folders hold the patient's name."""
    source = tmp_path / "Lovelace Ada"
    ct_series(source / "a", patient_id="P1", PatientName="Lovelace^Ada")
    ct_series(source / "short", patient_id="P1", n=3, PatientName="Lovelace^Ada")
    ct_series(source / "scout", patient_id="P1", n=1, Modality="MR", PatientName="Lovelace^Ada")
    return source


@pytest.fixture
def index(source):
    return index_folder(source, secret=PUBLIC_KEY)


@pytest.fixture
def readings(index, tmp_path):
    """Reports on all of them, as inference leaves them."""
    said = [answer(series, "ranges") for series in index.usable]
    for verdict in index.refused:
        uids = verdict.series_instance_uid, verdict.study_instance_uid
        said.append(not_evaluated(*uids, verdict.reason, verdict.sentence, RELEASE))
    folder = tmp_path / "reports"
    pages = [
        write_report(one, None, page_folder(folder, one.study_instance_uid, one.series_instance_uid)) for one in said
    ]
    return [result_of(one, page, reused=False) for one, page in zip(said, pages, strict=True)]


def written(readings, index, folder):
    return write_all_documents.fn(readings, example_files(index), folder, Access())


def test_every_ct_of_a_source_gets_documents(readings, index, tmp_path):
    done = written(readings, index, tmp_path / "out")

    assert {one.reason: one.documents is not None for one in done} == {None: True, "too-few-slices": True}
    assert all(one.undocumented is None for one in done)
    for one in done:
        if one.documents:
            keys = pydicom.dcmread(one.documents / KEY_OBJECTS)
            assert (keys.PatientName, keys.StudyInstanceUID) == ("Lovelace^Ada", one.study_instance_uid)


def test_documents_that_are_there_are_left_and_those_of_an_earlier_reading_replaced(readings, index, tmp_path):
    (first, *_) = written(readings, index, tmp_path / "out")
    file = first.documents / KEY_OBJECTS
    file.write_bytes(b"")
    data = first.page.with_name("recommendations.json")
    made_ns = data.stat().st_mtime_ns

    written(readings, index, tmp_path / "out")
    replaced = file.read_bytes()
    again = file.stat()
    written(readings, index, tmp_path / "out")
    left = file.stat()

    assert replaced.startswith(b"\0" * 128 + b"DICM")
    assert (again.st_mtime_ns, again.st_ino) == (made_ns, left.st_ino)


def test_a_source_that_is_gone_is_told_and_the_others_are_written(readings, index, source, tmp_path):
    for path in (source / "a").iterdir():
        path.unlink()

    done = written(readings, index, tmp_path / "out")

    gone, short = (next(one for one in done if one.reason == reason) for reason in (None, "too-few-slices"))
    assert gone.documents is None
    assert gone.undocumented == (
        f"series {gone.series_instance_uid}: an image must be there when documents are written, "
        "got FileNotFoundError; keep the source until then, and run again"
    )
    assert short.documents is not None


def test_a_folder_that_can_not_be_written_is_told_without_its_name(readings, index, tmp_path):
    (tmp_path / "Ada").write_text("")

    done = document(readings[0], example_files(index), tmp_path / "Ada", Access())

    assert "documents must be written, got 'Not a directory'" in done["undocumented"]
    assert "Ada" not in done["undocumented"]


def test_a_recommendation_that_is_lost_is_told(readings, index, tmp_path):
    readings[0].page.with_name("recommendations.json").write_text("{}")

    done = document(readings[0], example_files(index), tmp_path / "out", Access())

    assert "documents must be made without an error, got ValidationError" in done["undocumented"]


def test_the_patient_is_in_the_documents_alone(readings, index, source, tmp_path):
    done = written(readings, index, tmp_path / "out")

    others = [path for path in (tmp_path / "reports").rglob("*") if path.is_file()]
    assert others
    assert not any(b"Lovelace" in path.read_bytes() for path in others)
    summed = [one.model_dump(mode="json", exclude={"page", "documents"}) for one in done]
    assert "Lovelace" not in json.dumps(summed) + repr(index.refused)


def test_documents_in_their_own_source_are_refused(source, tmp_path):
    with pytest.raises(ConfigError, match="outside the source"):
        check_documents(parse_source(str(source)), source / "out")
    check_documents(parse_source(str(source)), tmp_path / "out")
    check_documents(parse_source("s3://bucket/prefix"), tmp_path / "out")
    check_documents(parse_source(str(source)), None)


def test_documents_are_made_of_a_recommendation_of_version_1_that_lies_in_the_reports(readings, index, tmp_path):
    data = readings[0].page.with_name("recommendations.json")
    said = json.loads(data.read_text())
    del said["findings"], said["slices_left_out"]
    for one in said["ranges"]:
        del one["findings"]
    data.write_text(json.dumps({**said, "schema_id": "lidcflow.recommendation/1"}))

    done = document(readings[0], example_files(index), tmp_path / "out", Access())

    assert sorted(file.name for file in done["documents"].iterdir()) == [KEY_OBJECTS, "structured-report.dcm"]


@pytest.mark.parametrize(
    ("kinds", "names"),
    [
        (("kos", "sr"), ["key-objects.dcm", "structured-report.dcm"]),
        (("sr", "seg"), ["structured-report.dcm"]),
        (("kos",), ["key-objects.dcm"]),
    ],
)
def test_only_the_documents_that_are_asked_for_are_delivered(readings, index, tmp_path, kinds, names):
    delivery = DeliveryConfig(to=(str(tmp_path),), documents=kinds)
    config = Config(workspace=tmp_path / "workspace", delivery=delivery)
    (reading,) = [one for one in readings if one.verdict == "ranges"][:1]

    made = make(reading, example_files(index)[reading.series_instance_uid], config)

    assert sorted(made) == names
