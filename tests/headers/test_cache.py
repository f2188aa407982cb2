import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from lidcflow.headers import cache as module
from lidcflow.headers.cache import HeaderCache, decoder, encoded, shape_of
from lidcflow.headers.reader import HeaderReader
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.series.find import index_files
from lidcflow.source.folder import list_folder
from tests.enhanced import to_enhanced


@pytest.fixture
def source(ct_series, tmp_path):
    """A folder of a series of 10 slices, a text and an archive."""
    ct_series(tmp_path / "Lovelace^Ada" / "ct", patient_id="Lovelace")
    (tmp_path / "Lovelace^Ada" / "notes").write_text("no DICOM")
    (tmp_path / "Lovelace^Ada" / "more").write_bytes(b"PK\x03\x04")
    return tmp_path / "Lovelace^Ada"


@pytest.fixture
def read(source, tmp_path, monkeypatch):
    """Index the folder with a cache; returns the index and the names of the files that were read."""
    monkeypatch.setattr("lidcflow.headers.reader.read_headers", counting(seen := []))

    def run(**options):
        seen.clear()
        with HeaderCache(tmp_path / "headers.db", PUBLIC_KEY, **options) as cache:
            found = index_files(list_folder(source), HeaderReader(PUBLIC_KEY, cache=cache))
        return found, sorted(Path(path).name for path in seen)

    return run


def counting(seen):
    from lidcflow.headers.header import read_headers

    def counted(files, **options):
        seen.extend(file.path for file in files)
        return read_headers(files, **options)

    return counted


def test_what_was_read_once_is_not_read_again(read):
    first, files = read()

    again, files_again = read()

    assert (len(files), files_again) == (12, [])
    assert again == first


def test_the_frames_of_a_multi_frame_object_are_remembered(read, source):
    to_enhanced(source / "ct")
    first, _ = read()

    again, files_again = read()

    assert (again == first, files_again) == (True, [])
    assert [image.frame_number for image in again[0].series.slices] == list(range(1, 11))


def test_a_changed_file_is_read_again(read, source):
    read()
    os.utime(source / "ct" / "000003.dcm", ns=(1, 1))

    assert read()[1] == ["000003.dcm"]


def test_fresh_reads_everything(read):
    read()

    assert len(read(fresh=True)[1]) == 12


def test_a_file_that_could_not_be_read_is_tried_again(read, source):
    (source / "torn").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 500)
    read()

    assert read()[1] == ["torn"]


@pytest.mark.parametrize("content", [b"not a database" * 100, b""])
def test_a_file_that_is_no_cache_is_replaced(read, tmp_path, content):
    (tmp_path / "headers.db").write_bytes(content)

    assert (len(read()[1]), len(read()[1])) == (12, 0)


def test_a_damaged_cache_costs_time_alone(read, tmp_path):
    first, _ = read()
    with (tmp_path / "headers.db").open("r+b") as stream:
        stream.seek(4096)
        stream.write(b"\xff" * 4096)

    assert read()[0] == first


def test_rows_that_mean_nothing_cost_time_alone(read, tmp_path):
    first, _ = read()
    with closing(sqlite3.connect(tmp_path / "headers.db")) as database, database:
        database.execute("UPDATE files SET content = '[[7, 1]]'")
    database.close()

    assert read()[0] == first


def test_a_cache_of_another_form_is_dropped(read, monkeypatch):
    read()
    monkeypatch.setattr(module, "CACHE_VERSION", 0)

    assert len(read()[1]) == 12


def test_a_cache_that_is_held_by_another_process_is_left_alone(read, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_BUSY_S", 0.01)
    first, _ = read()
    holder = sqlite3.connect(tmp_path / "headers.db")
    holder.execute("BEGIN EXCLUSIVE")

    found, _ = read(fresh=True)

    holder.close()
    assert found == first


def test_the_cache_holds_no_name_and_no_path(read, tmp_path):
    read()

    content = b"".join(path.read_bytes() for path in tmp_path.glob("headers.db*"))
    assert content
    assert not any(word in content for word in (b"Lovelace", b"Ada", b"000001", b"notes"))


def test_a_moved_archive_is_read_anew(read, source):
    read()
    shutil.copytree(source / "ct", source / "copy")

    assert len(read()[1]) == 10


@dataclass(frozen=True)
class Inner:
    size: tuple[int, ...] | None


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner | None
    all: tuple[Inner, ...] = ()


@pytest.mark.parametrize("value", [Outer("a", Inner((1, 2)), (Inner(None),)), Outer("b", None)])
def test_what_is_decoded_is_what_was_encoded(value):
    assert decoder(Outer)(encoded(value)) == value


def test_a_shape_names_the_fields_of_inner_dataclasses_too():
    assert "size" in shape_of(Outer)


def test_what_is_no_plain_value_is_a_wrong_argument():
    with pytest.raises(TypeError, match="got set"):
        encoded({1})
    with pytest.raises(TypeError, match="got"):
        decoder(set[int])
