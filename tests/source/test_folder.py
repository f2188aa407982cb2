import gzip
import io
import os
import tarfile
import zipfile

import pytest

from lidcflow.errors import SourceError
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.series.find import index_folder
from lidcflow.source import folder
from lidcflow.source.folder import list_folder
from lidcflow.source.places import checked_source


def names(root):
    return sorted(file.path.rpartition("/")[2] for file in list_folder(root).files)


def zipped(content):
    with io.BytesIO() as stream:
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr("1.dcm", content)
        return stream.getvalue()


def tarred(content):
    with io.BytesIO() as stream:
        with tarfile.open(fileobj=stream, mode="w") as archive:
            archive.addfile(tarfile.TarInfo("1.dcm"))
        return stream.getvalue()


def test_linked_folders_are_entered_once(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "1.dcm").touch()
    root = tmp_path / "root"
    root.mkdir()
    (root / "a").symlink_to(tmp_path / "elsewhere")
    (root / "b").symlink_to(tmp_path / "elsewhere")
    (root / "loop").symlink_to(root)

    assert names(root) == ["1.dcm"]


def test_a_link_to_itself_is_passed_over(tmp_path):
    (tmp_path / "1.dcm").touch()
    (tmp_path / "self").symlink_to(tmp_path / "self")

    assert names(tmp_path) == ["1.dcm"]


def test_a_folder_that_may_not_be_listed_is_counted(tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir()
    (tmp_path / "1.dcm").touch()
    scandir = os.scandir

    def refusing(path):
        if path.endswith("closed"):
            raise PermissionError
        return scandir(path)

    monkeypatch.setattr(folder.os, "scandir", refusing)  # root may list any folder

    assert (names(tmp_path), list_folder(tmp_path).unlistable) == (["1.dcm"], 1)


def test_a_source_that_may_not_be_listed_itself_is_no_empty_one(tmp_path, monkeypatch):
    def refusing(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(folder.os, "scandir", refusing)  # root may list any folder

    with pytest.raises(SourceError, match="must be a folder that can be read, got 'Permission denied'"):
        list_folder(tmp_path)
    with pytest.raises(SourceError, match="check its permissions, and that its disk is mounted"):
        checked_source(str(tmp_path))


@pytest.mark.parametrize(
    "pack", [zipped, tarred, gzip.compress, lambda _: b"7z\xbc\xaf\x27\x1c rest"], ids=["zip", "tar", "gzip", "7z"]
)
def test_archives_are_known_by_their_content_and_counted(ct_series, tmp_path, pack):
    ct_series(tmp_path / "ct")
    (tmp_path / "more.dcm").write_bytes(pack(b"content"))

    beside = index_folder(tmp_path, secret=PUBLIC_KEY).beside

    assert (beside.archives, beside.not_dicom, beside.may_hide_images) == (1, 0, True)
    assert "unpack" in beside.line
