import tempfile
from pathlib import Path

import pytest

from lidcflow.errors import ResourceError
from lidcflow.spool import Spool, spool_folder


@pytest.mark.parametrize("memory_bytes", [0, 5, 100])
def test_what_was_set_aside_comes_back(memory_bytes):
    spool = Spool(memory_bytes)
    contents = [b"one", b"", b"three", b"4" * 50]

    places = [spool.put(content) for content in contents]

    assert [spool.get(place) for place in reversed(places)] == contents[::-1]


def test_the_file_has_no_name(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    spool = Spool(0)

    spool.put(b"header")

    assert spool_folder() == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_in_a_sentence(monkeypatch):
    def full(**_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lidcflow.spool.tempfile.TemporaryFile", full)

    with pytest.raises(ResourceError, match="TMPDIR names another"):
        Spool(0).put(b"header")


def test_a_machine_without_var_tmp_uses_its_own_choice(monkeypatch):
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr("lidcflow.spool.VAR_TMP", Path("/nowhere"))

    assert spool_folder() == Path(tempfile.gettempdir())
