import random

import pytest

from lidcflow.source import shelf
from lidcflow.source.files import SourceFile
from lidcflow.source.folder import list_folder
from lidcflow.source.shelf import PackedFiles, Shelf, join_files


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(shelf, "HELD", 10)
    monkeypatch.setattr(shelf, "BLOCK", 4)


def files_of(folder, n):
    return [SourceFile(f"{folder}/{i:03d}.dcm", i, f"v{i}") for i in range(n)]


def shelved(*runs):
    taken = Shelf()
    for run in runs:
        taken.add(run)
    return taken.files()


def test_few_files_are_a_tuple_by_path():
    assert shelved(files_of("/b", 2), files_of("/a", 2)) == (*files_of("/a", 2), *files_of("/b", 2))


def test_many_files_are_set_aside_and_come_by_path():
    runs = [files_of(f"/{name}", 7) for name in "dacb"]

    found = shelved(*runs)

    assert isinstance(found, PackedFiles)
    assert list(found) == sorted(file for run in runs for file in run)


def test_files_in_any_order_come_by_path():
    files = files_of("/a", 100)
    random.Random(0).shuffle(files)

    found = shelved(*(files[start : start + 9] for start in range(0, 100, 9)))

    assert list(found) == files_of("/a", 100)


def test_parts_are_those_of_a_tuple():
    found, whole = shelved(files_of("/a", 30)), tuple(files_of("/a", 30))

    assert len(found) == 30
    assert [found[i] for i in (0, 3, 4, 29, -1)] == [whole[i] for i in (0, 3, 4, 29, -1)]
    assert all(found[start:stop] == whole[start:stop] for start in range(32) for stop in range(32))
    assert found[::5] == whole[::5]
    with pytest.raises(IndexError):
        found[30]


def test_of_one_path_the_last_file_is_taken_once():
    old, new = files_of("/a", 20), [file._replace(version="new") for file in files_of("/a", 20)]

    assert list(join_files([shelved(old), shelved(new)])) == new
    assert list(shelved(old, new)) == new


def test_one_source_is_joined_to_nothing():
    found = shelved(files_of("/a", 20))

    assert join_files([found]) is found


def test_a_tree_of_folders_comes_by_path(tmp_path):
    places = ["LICENSE", "a/1.dcm", "a/x/2.dcm", "a/z.dcm", "a-b/3.dcm", "a.dcm", "b/y/4.dcm", "zz"]
    places += [f"many/{i}/{k}.dcm" for i in range(9) for k in range(5)]
    for place in places:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).touch()

    found = list_folder(tmp_path).files

    assert [file.path for file in found] == sorted(str(tmp_path / place) for place in places)


def test_a_name_that_is_no_text_survives():
    odd = SourceFile("/a/\udcff.dcm", 1, "")

    assert odd in list(shelved([*files_of("/a", 20), odd]))
