from importlib.metadata import PackageNotFoundError

import pytest

from lidcflow.config import Access, ObjectsConfig
from lidcflow.dicom.records import Attribution
from lidcflow.errors import ResourceError, SourceError
from lidcflow.headers.reader import HeaderReader
from lidcflow.objects import bucket_of
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.series.find import index_files
from lidcflow.source import idc
from lidcflow.source.places import parse_source


def index(source, objects):
    return index_files(parse_source(source, objects.access).listing(), HeaderReader(PUBLIC_KEY, access=objects.access))


@pytest.fixture
def two(archive, ct_series, tmp_path):
    """The prefixes of two series of two patients of the collection ``tiny_ct``."""
    return [archive(ct_series(tmp_path / name, patient_id=f"TINY-{name}", n=8)) for name in ("a", "b")]


def test_the_whole_of_lidc_is_known_without_a_network():
    idc.idc_series.cache_clear()

    (collection,) = idc.collections_of(idc.idc_series("idc:LIDC-IDRI"))

    assert (collection.series, collection.files) == (1018, 243_958)
    assert collection.line.endswith("CC BY 3.0, https://doi.org/10.7937/k9/tcia.2015.lo9ql9sx")


@pytest.mark.parametrize(("name", "n"), [("tiny_ct", 2), ("Tiny-CT", 2), ("TINY-a", 1), ("tiny_ct/TINY-b", 1)])
@pytest.mark.usefixtures("two")
def test_a_collection_or_a_patient_stands_for_its_series(name, n):
    assert len(idc.idc_series(f"idc:{name}")) == n


@pytest.mark.usefixtures("two")
def test_a_study_or_a_series_stands_for_itself():
    series, _ = idc.idc_series("idc:tiny_ct")

    assert idc.idc_series(f"idc:{series.series_instance_uid}") == (series,)
    assert idc.idc_series(f"idc:{series.study_instance_uid}") == (series,)


@pytest.mark.usefixtures("two")
def test_series_of_the_archive_carry_their_terms(objects):
    found = index("idc:tiny_ct", objects)

    assert [series.attribution for series in found.usable] == [Attribution("tiny_ct", "CC BY 3.0", "10.7937/tiny")] * 2
    assert [collection.series for collection in found.collections] == [2]


def test_a_series_that_lacks_objects_is_refused_and_says_so(two, objects):
    bucket = bucket_of("s3://bucket", objects.access)
    bucket.delete([bucket.list(two[0]).collect()[0]["path"]])

    found = index("idc:tiny_ct", objects)

    assert sorted(str(verdict.reason) for verdict in found) == ["incomplete", "usable"]
    assert "must hold its 8 objects, got 7" in found.refused[0].sentence


def test_a_series_without_any_object_is_refused_too(two, objects):
    bucket = bucket_of("s3://bucket", objects.access)
    bucket.delete([item["path"] for item in bucket.list(two[0]).collect()])

    assert [verdict.n_files for verdict in index("idc:tiny_ct", objects).refused] == [0]


def test_another_size_than_that_of_the_index_is_flagged(archive, ct_series, tmp_path, objects):
    archive(ct_series(tmp_path / "a", n=8), series_size_MB=1.0)

    (verdict,) = index("idc:tiny_ct", objects)

    assert "size-differs-from-archive-index" in verdict.series.flags


@pytest.mark.usefixtures("two")
def test_an_unknown_name_is_answered_with_those_like_it():
    with pytest.raises(SourceError, match=r"got none; did you mean tiny_ct\?"):
        idc.idc_series("idc:tiny_c")


def test_a_collection_without_ct_is_one_sentence(archive, ct_series, tmp_path):
    archive(ct_series(tmp_path / "a", n=8), Modality="MR")

    with pytest.raises(SourceError, match="must hold CT, got MR alone"):
        idc.idc_series("idc:tiny_ct")


@pytest.mark.usefixtures("two")
def test_no_network_is_one_sentence():
    nobody = Access(idc=ObjectsConfig(endpoint="http://127.0.0.1:9", anonymous=True))

    with pytest.raises(ResourceError, match=r"public archive, bucket bucket: .* no connection; check the network"):
        parse_source("idc:tiny_ct", nobody).listing()


def test_a_missing_index_says_how_to_install_it(monkeypatch):
    def without_index(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(idc.metadata, "files", without_index)

    with pytest.raises(ResourceError, match=r"pip install 'lidcflow\[idc\]'"):
        idc.index_file()
