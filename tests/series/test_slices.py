import pickle

import pytest

from lidcflow.headers import groups
from lidcflow.headers import reader as header_reader
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.series import slices
from lidcflow.series.find import index_folder
from lidcflow.series.slices import PackedSlices
from lidcflow.source import shelf


@pytest.fixture
def set_aside(monkeypatch):
    """Return a function after which nothing of an index is held in memory."""

    def apply():
        for module in (shelf, groups, slices):
            monkeypatch.setattr(module, "HELD", 0)
        monkeypatch.setattr(header_reader, "PORTION", 5)

    return apply


@pytest.fixture
def source(ct_series, tmp_path):
    ct_series(tmp_path / "source" / "a", series_uid="1.2.3", n=12, size=16)
    ct_series(tmp_path / "source" / "b", series_uid="1.2.4", n=9, size=16, Modality="MR")
    ct_series(tmp_path / "source" / "c", series_uid="1.2.5", n=9, size=16, patient_id="another")
    (tmp_path / "source" / "note.txt").write_text("x")
    (tmp_path / "source" / "a" / "slice-0003.dcm").write_bytes(b"cut short")
    return tmp_path / "source"


def index(source):
    return index_folder(source, secret=PUBLIC_KEY)


def test_an_index_that_was_set_aside_is_that_of_the_memory(source, set_aside):
    held = index(source)
    set_aside()
    found = index(source)

    assert all(isinstance(series.slices, PackedSlices) for series in found.usable)
    assert len(found.usable) == 2
    assert found == held


def test_packed_slices_are_a_sequence(source, set_aside):
    held = index(source).usable[0].slices
    set_aside()
    found = index(source).usable[0].slices

    assert len(found) == len(held)
    assert (found[0], found[-1], found[2:4], tuple(found)) == (held[0], held[-1], held[2:4], held)
    assert hash(found) == hash(held)
    assert [source.mark for source in found] == [source.mark for source in held]
    assert found != held[1:]


def test_a_series_on_its_way_to_a_worker_has_its_slices_with_it(source, set_aside):
    set_aside()
    series = index(source).usable[0]

    arrived = pickle.loads(pickle.dumps(series))

    assert isinstance(arrived.slices, tuple)
    assert arrived == series


def test_an_instance_of_two_patients_is_refused_among_packed_series(ct_series, tmp_path, set_aside):
    for patient, uid in (("one", "1.2.3"), ("two", "1.2.4")):
        ct_series(
            tmp_path / patient, series_uid=uid, patient_id=patient, n=9, size=16, SOPInstanceUID=lambda i: f"9.{i}"
        )
    held = index(tmp_path)
    set_aside()

    found = index(tmp_path)

    assert [verdict.reason for verdict in found] == ["bad-uid", "bad-uid"]
    assert found == held
