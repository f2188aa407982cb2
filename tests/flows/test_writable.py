"""Full, read-only and missing folders are told in one sentence before anything starts."""

import errno
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import namedtuple
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app, main
from flows.writable import require_places
from lidcflow.catalog.series import Catalog, State
from lidcflow.config import Config
from lidcflow.disk import disk_fault, naming_disk_faults
from lidcflow.errors import LidcflowError, ResourceError

LIDCFLOW = Path(sys.executable).with_name("lidcflow")
SETTINGS = 'patient_key = "public"\n[preprocess]\nslices = 8\nsize = 16\n[cluster]\nworkers = 1\n'


@pytest.fixture
def small_disk(tmp_path):
    """Yield a small file system of its own; skip the test where nothing can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a disk of its own can't be mounted here: that needs root and CAP_SYS_ADMIN")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk):
    subprocess.run(["dd", "if=/dev/zero", f"of={disk}/filler", "bs=64k"], capture_output=True, check=False)
    assert shutil.disk_usage(disk).free == 0


def make_read_only(disk):
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)


def run(folder, *arguments):
    """Run a command as a user does; return its exit code and what it says."""
    ended = subprocess.run([LIDCFLOW, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended.returncode, ended.stderr


@pytest.fixture
def run_here(monkeypatch, capsys):
    """Return a function like `run` without the seconds of imports of a process: it calls what the process would."""

    def run(folder, *arguments):
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["lidcflow", *arguments])
        monkeypatch.setattr(os, "environ", dict(os.environ))
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, capsys.readouterr().err

    return run


def errors_in(said):
    return [line for line in said.splitlines() if line.startswith("error:")]


@pytest.fixture
def studies(tmp_path, ct_series):
    ct_series(tmp_path / "studies" / "a")
    (tmp_path / "lidcflow.toml").write_text(f'workspace = "disk/workspace"\n{SETTINGS}')
    return tmp_path / "studies"


COMMANDS = [
    ("index", "studies"),
    ("preprocess", "studies"),
    ("train",),
    ("retrain",),
    ("up",),
    ("phantom", "disk/phantoms", "--series", "1"),
    ("demo", "--folder", "disk/demo"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_every_command_tells_of_a_read_only_disk_in_one_sentence(small_disk, studies, command, run_here):
    make_read_only(small_disk)

    code, said = run_here(studies.parent, *command)

    (sentence,) = errors_in(said)
    assert code == 1
    assert "Read-only file system" in sentence


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_every_command_tells_of_a_full_disk_in_one_sentence(small_disk, studies, command, run_here):
    fill(small_disk)

    code, said = run_here(studies.parent, *command)

    (sentence,) = errors_in(said)
    assert code == 1
    assert re.search("the disk .*must have", sentence)


def test_a_process_ends_with_the_sentence_alone(small_disk, studies):
    make_read_only(small_disk)

    code, said = run(studies.parent, "preprocess", "studies")

    assert (code, len(errors_in(said))) == (1, 1)


@pytest.mark.usefixtures("prefect_server")
def test_a_store_that_can_not_be_written_marks_no_series_as_failed(small_disk, studies, ct_series, monkeypatch):
    monkeypatch.chdir(studies.parent)
    (studies.parent / "lidcflow.toml").write_text(f'workspace = "workspace"\n{SETTINGS}')
    (studies.parent / "workspace").mkdir()
    (studies.parent / "workspace" / "store").symlink_to(small_disk)
    assert CliRunner().invoke(app, ["preprocess", "studies"]).exit_code == 0
    ct_series(studies / "b")
    make_read_only(small_disk)

    done = CliRunner().invoke(app, ["preprocess", "studies"])

    assert isinstance(done.exception, LidcflowError)
    assert re.search("store.*Read-only file system", str(done.exception))
    with Catalog(f"sqlite:///{studies.parent}/workspace/catalog.db") as catalog:
        assert State.FAILED not in catalog.counts()


def test_a_temporary_folder_that_is_full_is_told(small_disk, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    fill(small_disk)

    with pytest.raises(ResourceError, match=rf"temporary files {small_disk}: .* set TMPDIR"):
        require_places(Config(workspace=tmp_path / "workspace"))


def test_a_machine_without_a_temporary_folder_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [str(tmp_path / "none")])

    with pytest.raises(ResourceError, match="set TMPDIR"):
        require_places(Config(workspace=tmp_path / "workspace"))


def test_a_nearly_full_disk_is_told_with_what_it_has_and_what_it_needs(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: namedtuple("Usage", "free")(2**20))

    with pytest.raises(ResourceError, match="must have 32 MiB free, got 1 MiB"):
        require_places(Config(workspace=tmp_path))


def test_places_that_can_be_written_are_left_as_they_were(tmp_path):
    require_places(Config(workspace=tmp_path))

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO, errno.ESTALE])
def test_whatever_keeps_a_place_from_being_written_is_the_fault_of_the_place(number):
    with pytest.raises(ResourceError, match="store here: "), naming_disk_faults("store here"):
        raise OSError(number, os.strerror(number))


@pytest.mark.parametrize("number", [errno.ENAMETOOLONG, errno.ELOOP])
def test_a_path_that_no_file_can_have_is_a_wrong_argument(number):
    assert "must be one that a file can have" in str(disk_fault(OSError(number, os.strerror(number), "DOE^JANE")))


def test_the_path_of_a_source_that_can_not_be_read_is_not_told():
    assert "DOE^JANE" not in str(disk_fault(PermissionError(errno.EACCES, "denied", "/pacs/DOE^JANE/1.dcm")))
    assert disk_fault(FileNotFoundError(errno.ENOENT, "gone", "/pacs/1.dcm")) is None
