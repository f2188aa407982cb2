"""Files with readings, of whatever kind."""

import os
from functools import partial

import pytest

from lidcflow.errors import LabelError
from lidcflow.labels import sources
from lidcflow.labels.sources import read_source
from tests.labels.readings import message, nodule, roi, write
from tests.labels.written import write as write_csv


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [(None, "", "must be a file or a folder"), ("notes.txt", "nothing", "must hold readings")],
)
def test_a_source_without_readings_is_one_sentence(tmp_path, name, content, says):
    source = tmp_path / (name or "nowhere")
    if name:
        source.write_text(content)

    with pytest.raises(LabelError, match=says):
        read_source(str(source))


def test_files_of_any_kind_in_a_folder_are_counted_and_passed_over(tmp_path):
    write_csv(tmp_path, "own.csv", "1.2.3,,45,A,4")
    (tmp_path / "page.html").write_text("<html>")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "picture.png").write_bytes(b"\x89PNG")
    progress = []

    books = read_source(str(tmp_path), lambda done, total: progress.append((done, total)))

    assert [len(book.readings) for book in books] == [1]
    assert progress == [(1, 3), (2, 3), (3, 3)]


def test_folders_that_may_not_be_listed_and_files_that_cannot_be_read_are_told(
    tmp_path, collected, images, monkeypatch
):
    write(tmp_path, "a.xml", message(nodule(roi(images[2], 45.0))))
    write(tmp_path, "b.xml", "closed")
    (tmp_path / "closed").mkdir()
    scandir, is_dicom = os.scandir, sources._is_dicom

    def without_permission(path, *, ends, ask):
        if str(path).endswith(ends):
            raise PermissionError(13, "Permission denied")
        return ask(path)

    monkeypatch.setattr(os, "scandir", partial(without_permission, ends="closed", ask=scandir))
    monkeypatch.setattr(sources, "_is_dicom", partial(without_permission, ends="b.xml", ask=is_dicom))
    found = collected()

    assert len(found.nodules["1.2.3"]) == 1
    assert [(problem.origin.kind, str(problem.reason)) for problem in found.problems] == [
        ("folder", "unreadable"),
        ("file", "unreadable"),
    ]
