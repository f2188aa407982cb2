"""Turns between machines that share a catalog in PostgreSQL and no folder."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from lidcflow.catalog.locks import at_work, is_at_work, nobody_else_at_work
from lidcflow.errors import ResourceError

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
ROOT = str(Path(__file__).parents[2])
HOLD = """
import sys, time
sys.path.insert(0, sys.argv[3])
from pathlib import Path
from lidcflow.catalog.locks import at_work
with at_work(Path(sys.argv[1]), "train", alone=True, catalog=sys.argv[2]):
    print("in", flush=True)
    time.sleep(120)
"""


@pytest.fixture(scope="module")
def catalog():
    """Yield the URL of a database of a PostgreSQL that runs for these tests."""
    if not BINARIES:
        pytest.skip("PostgreSQL is not here (Debian package postgresql)")
    with tempfile.TemporaryDirectory() as folder, postgres(Path(folder)) as url:
        yield url


@contextmanager
def postgres(folder):
    """Run a server on a free port; it refuses to be root."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    as_owner = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
    if as_owner:
        shutil.chown(folder, "postgres", "postgres")
    own = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT, **as_owner}
    made = [BINARIES[-1] / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", "--no-sync"]
    subprocess.run(made, check=True, **own)
    options = ["-D", folder / "data", "-k", folder, "-h", "127.0.0.1", "-p", str(port), "-F"]
    with subprocess.Popen([BINARIES[-1] / "postgres", *options], **own) as server:
        wait_until_open(port)
        yield f"postgresql+pg8000://postgres@127.0.0.1:{port}/postgres"
        server.send_signal(signal.SIGQUIT)


def wait_until_open(port):
    deadline_s = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            time.sleep(1)
            return
        except OSError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.2)


def test_one_training_at_a_time_on_two_machines_and_the_turn_goes_with_its_process(catalog, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    program = [sys.executable, "-c", HOLD, str(there), catalog, ROOT]

    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "in\n"
        taken = is_at_work(here, "train", catalog)
        with (
            pytest.raises(ResourceError, match="only one train may run"),
            at_work(here, "train", alone=True, catalog=catalog),
        ):
            pass
        with at_work(here, "preprocess", catalog=catalog):
            pass
        other.kill()
        other.wait()
    deadline_s = time.monotonic() + 10
    while is_at_work(here, "train", catalog) and time.monotonic() < deadline_s:
        time.sleep(0.1)

    assert taken
    with at_work(here, "train", alone=True, catalog=catalog):
        assert is_at_work(there, "train", catalog)


def test_several_machines_preprocess_at_once_and_an_erasure_waits_for_all_of_them(catalog, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"

    with (
        at_work(here, "preprocess", catalog=catalog),
        at_work(there, "preprocess", catalog=catalog),
        pytest.raises(ResourceError, match="nothing else may run during an erasure"),
        nobody_else_at_work(tmp_path / "third", catalog),
    ):
        pass
    with (
        nobody_else_at_work(here, catalog),
        pytest.raises(ResourceError, match="an erasure must come to its end first"),
        at_work(there, "infer", catalog=catalog),
    ):
        pass


def test_a_database_that_is_away_is_named_without_its_password(tmp_path):
    away = "postgresql+pg8000://me:secret@127.0.0.1:9/catalog"

    with pytest.raises(ResourceError, match=r"catalog postgresql\+pg8000://me:\*\*\*@127\.0\.0\.1:9/catalog: the data"):
        is_at_work(tmp_path, "train", away)
