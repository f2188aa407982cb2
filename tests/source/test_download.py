import shutil

import pytest

from lidcflow.config import Access
from lidcflow.errors import ResourceError, SourceError
from lidcflow.objects import bucket_of
from lidcflow.source import download as module
from lidcflow.source.download import download, plan_download
from lidcflow.source.places import parse_source
from tests.object_storage import every


def fetch(source, folder, objects):
    return download(plan_download(parse_source(source, objects.access)), folder, objects.access)


def test_series_of_the_archive_lie_by_collection_patient_study_and_series(archive, ct_series, tmp_path, objects):
    source = ct_series(tmp_path / "a", patient_id="TINY-1", n=8)
    archive(source)

    done = fetch("idc:TINY-1", tmp_path / "out", objects)

    (patient,) = (tmp_path / "out" / "tiny_ct").iterdir()
    assert (done.fetched, done.failed, patient.name) == (8, 0, "TINY-1")
    fetched = sorted(path.read_bytes() for path in patient.glob("*/*/*.dcm"))
    assert fetched == sorted(path.read_bytes() for path in source.iterdir())


def test_the_terms_of_every_collection_lie_beside_the_files(archive, ct_series, tmp_path, objects):
    archive(ct_series(tmp_path / "a", n=8))
    archive(ct_series(tmp_path / "b", n=8), collection_id="other", source_DOI=None)

    fetch("idc:tiny_ct", tmp_path / "out", objects)
    fetch("idc:other", tmp_path / "out", objects)
    fetch("idc:other", tmp_path / "out", objects)

    assert (tmp_path / "out" / "ATTRIBUTION.txt").read_text().splitlines()[1:] == [
        "tiny_ct: CC BY 3.0, https://doi.org/10.7937/tiny",
        "other: CC BY 3.0, no DOI",
    ]


def test_objects_of_a_bucket_keep_their_keys(ct_series, tmp_path, upload, objects):
    url = upload(ct_series(tmp_path / "ct", n=3))

    fetch(url, tmp_path / "out", objects)

    assert len(list((tmp_path / "out" / "archive").glob("*.dcm"))) == 3


def test_what_is_there_is_not_fetched_again(ct_series, tmp_path, upload, objects):
    url = upload(ct_series(tmp_path / "ct", n=3))
    fetch(url, tmp_path / "out", objects)
    (tmp_path / "out" / "archive" / "000002.dcm").write_bytes(b"cut short")

    again = fetch(url, tmp_path / "out", objects)

    assert (again.fetched, again.kept) == (1, 2)


def test_a_server_that_stumbles_is_asked_again(ct_series, tmp_path, upload, objects):
    url = upload(ct_series(tmp_path / "ct", n=3))

    with objects.faulty(every(2, 503)):
        assert fetch(url, tmp_path / "out", objects).fetched == 3


def test_an_object_that_is_not_given_fails_alone_and_leaves_nothing(ct_series, tmp_path, upload, objects):
    url = upload(ct_series(tmp_path / "ct", n=3))

    with objects.faulty(lambda environ: 403 if environ["PATH_INFO"].endswith("000002.dcm") else None):
        done = fetch(url, tmp_path / "out", objects)

    assert (done.fetched, done.failed) == (2, 1)
    assert sorted(path.name for path in (tmp_path / "out" / "archive").iterdir()) == ["000001.dcm", "000003.dcm"]


def test_a_name_that_is_no_safe_file_name_is_left_out_and_counted(tmp_path, upload, objects):
    (tmp_path / "source").mkdir()
    for name in ("safe", "a;b", "~x"):
        (tmp_path / "source" / name).write_text("content")

    plan = plan_download(parse_source(upload(tmp_path / "source"), objects.access))

    assert ([str(wanted.target) for wanted in plan.wanted], plan.unsafe) == (["archive/safe"], 2)


def test_a_patient_whose_id_climbs_out_of_the_folder_is_left_out(archive, ct_series, tmp_path, objects):
    archive(ct_series(tmp_path / "a", n=8), PatientID="../../x")

    assert plan_download(parse_source("idc:tiny_ct", objects.access)).unsafe == 8


def test_a_disk_without_room_is_told_before_anything_is_fetched(ct_series, tmp_path, upload, objects, monkeypatch):
    url = upload(ct_series(tmp_path / "ct", n=3))
    monkeypatch.setattr(module, "SPARE_BYTES", shutil.disk_usage(tmp_path).total)

    with pytest.raises(ResourceError, match="must fit on the disk"):
        fetch(url, tmp_path / "out", objects)


@pytest.mark.parametrize("blocked", ["out", "out/archive"])
def test_a_folder_that_takes_no_files_is_one_sentence(ct_series, tmp_path, upload, objects, blocked):
    url = upload(ct_series(tmp_path / "ct", n=3))
    (tmp_path / blocked).parent.mkdir(exist_ok=True)
    (tmp_path / blocked).write_text("a file where a folder must be")

    with pytest.raises(ResourceError, match=r"must take the files, got '(File exists|Not a directory)'"):
        fetch(url, tmp_path / "out", objects)


def test_a_second_download_to_a_folder_is_refused(ct_series, tmp_path, upload, objects):
    plan = plan_download(parse_source(upload(ct_series(tmp_path / "ct", n=3)), objects.access))

    with pytest.raises(ResourceError, match="one download must write to it at a time"):
        download(plan, tmp_path / "out", objects.access, lambda: download(plan, tmp_path / "out", objects.access))


def test_an_archive_that_is_not_whole_is_fetched_as_far_as_it_is_and_told(archive, ct_series, tmp_path, objects):
    prefix = archive(ct_series(tmp_path / "a", n=8))
    bucket = bucket_of("s3://bucket", objects.access)
    bucket.delete([bucket.list(prefix).collect()[0]["path"]])

    plan = plan_download(parse_source("idc:tiny_ct", objects.access))

    assert (len(plan.wanted), len(plan.incomplete)) == (7, 1)


@pytest.mark.parametrize(("source", "rule"), [(".", "to be fetched"), ("s3://bucket/none", "must hold objects")])
def test_what_can_not_be_fetched_is_one_sentence(source, rule, objects):
    with pytest.raises(SourceError, match=rule):
        plan_download(parse_source(source, objects.access if "s3" in source else Access()))
