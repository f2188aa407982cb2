import os
import stat
from contextlib import suppress
from pathlib import Path

import pytest

from lidcflow.files import whole_file, whole_folder, write_new, write_together, write_whole


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path):
    (tmp_path / "page.html").write_text("earlier")

    write_whole(tmp_path / "page.html", "later, in µm")

    assert (tmp_path / "page.html").read_bytes() == "later, in µm".encode()
    assert names(tmp_path) == ["page.html"]


def test_a_file_whose_writer_fails_stays_as_it_was(tmp_path):
    (tmp_path / "table.csv").write_text("earlier")

    with suppress(ZeroDivisionError), whole_file(tmp_path / "table.csv") as draft:
        draft.write_text("a part")
        raise ZeroDivisionError

    assert (tmp_path / "table.csv").read_text() == "earlier"
    assert names(tmp_path) == ["table.csv"]


def test_a_reader_sees_the_earlier_file_while_the_draft_grows(tmp_path):
    (tmp_path / "table.csv").write_text("earlier")

    with whole_file(tmp_path / "table.csv") as draft:
        draft.write_text("later")
        seen = (tmp_path / "table.csv").read_text()

    assert (seen, (tmp_path / "table.csv").read_text()) == ("earlier", "later")


def test_a_draft_has_the_name_that_repair_knows(tmp_path):
    with whole_file(tmp_path / "0123456789ab.parquet") as draft:
        draft.write_bytes(b"")

    assert draft.parent == tmp_path
    assert draft.name.startswith(".0123456789ab.parquet.")
    assert len(draft.suffix) == 9


def test_of_files_written_together_none_appears_when_one_cannot_be_written(tmp_path):
    (tmp_path / "report.html").write_text("earlier")
    contents = {"report.html": "later", "no-such-folder/report.json": "{}"}

    with pytest.raises(FileNotFoundError):
        write_together(contents, tmp_path)

    assert (tmp_path / "report.html").read_text() == "earlier"
    assert names(tmp_path) == ["report.html"]


def test_files_written_together_get_the_time_they_are_given(tmp_path):
    write_together({"a.dcm": b"a", "b.dcm": b"b"}, tmp_path, mtime_ns=10**18)

    assert {(tmp_path / name).stat().st_mtime_ns for name in ("a.dcm", "b.dcm")} == {10**18}


def test_only_the_owner_may_read_a_private_file_and_the_usual_mask_holds_for_others(tmp_path):
    former = os.umask(0o022)
    try:
        write_whole(tmp_path / "password", b"secret", private=True)
        write_whole(tmp_path / "page.html", "page")
    finally:
        os.umask(former)

    modes = {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in names(tmp_path)}
    assert modes == {"page.html": 0o644, "password": 0o600}


def test_a_private_draft_is_private_before_it_has_content(tmp_path, monkeypatch):
    modes = []
    real = os.fdopen
    monkeypatch.setattr(
        os, "fdopen", lambda fd, *rest: modes.append(stat.S_IMODE(os.fstat(fd).st_mode)) or real(fd, *rest)
    )

    write_new(tmp_path / "patient.key", b"key", private=True)

    assert modes == [0o600]


def test_of_two_that_write_a_new_file_the_first_wins(tmp_path):
    write_new(tmp_path / "patient.key", b"first")
    write_new(tmp_path / "patient.key", b"second")

    assert (tmp_path / "patient.key").read_bytes() == b"first"
    assert names(tmp_path) == ["patient.key"]


def test_a_new_file_is_on_the_disk_before_it_appears(tmp_path, monkeypatch):
    there = []
    monkeypatch.setattr(
        os, "fsync", lambda fd: there.append((os.fstat(fd).st_size, (tmp_path / "patient.key").exists()))
    )

    write_new(tmp_path / "patient.key", b"key")

    assert there == [(3, False)]


def test_the_error_of_a_folder_that_takes_no_files_is_that_of_the_write(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(NotADirectoryError) as caught:
        write_whole(tmp_path / "file" / "page.html", "page")

    assert caught.value.filename == str(tmp_path / "file" / "page.html")


@pytest.mark.parametrize("write", [write_whole, write_new])
def test_an_error_names_the_file_and_not_its_draft(tmp_path, write):
    gone = tmp_path / "gone"
    with pytest.raises(FileNotFoundError) as caught:
        write(gone / "lidcflow.toml", b"")
    assert caught.value.filename == str(gone / "lidcflow.toml")

    with pytest.raises(FileNotFoundError) as caught, whole_file(gone / "table.csv") as draft:
        draft.write_text("a,b")
    assert caught.value.filename == str(gone / "table.csv")


def test_a_folder_is_replaced_with_all_that_it_held(tmp_path):
    (tmp_path / "series").mkdir()
    (tmp_path / "series" / "old.dcm").write_bytes(b"old")

    with whole_folder(tmp_path / "series") as draft:
        (draft / "new.dcm").write_bytes(b"new")
        assert names(tmp_path / "series") == ["old.dcm"]

    assert names(tmp_path / "series") == ["new.dcm"]
    assert names(tmp_path) == ["series"]


def test_a_folder_whose_writer_fails_stays_as_it_was(tmp_path):
    (tmp_path / "series").mkdir()

    with suppress(ZeroDivisionError), whole_folder(tmp_path / "series") as draft:
        (draft / "new.dcm").write_bytes(b"a part")
        raise ZeroDivisionError

    assert names(tmp_path) == ["series"]
    assert names(tmp_path / "series") == []


def test_the_folders_above_a_new_folder_are_made(tmp_path):
    with whole_folder(tmp_path / "patient" / "study" / "series"):
        pass

    assert (tmp_path / "patient" / "study" / "series").is_dir()
