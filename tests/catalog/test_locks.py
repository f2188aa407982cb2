"""Who may be at work on a workspace at the same time."""

import subprocess
import sys

import pytest

from lidcflow.catalog import locks
from lidcflow.catalog.locks import at_work, is_at_work, nobody_else_at_work
from lidcflow.errors import ResourceError


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(locks, "PATIENCE_S", 0.0)


def test_two_may_preprocess_but_one_alone_trains(tmp_path):
    with (
        at_work(tmp_path, "preprocess"),
        at_work(tmp_path, "preprocess"),
        at_work(tmp_path, "train", alone=True),
        pytest.raises(ResourceError, match="only one train may run at a time, got one under way"),
        at_work(tmp_path, "train", alone=True),
    ):
        pass


def test_an_erasure_runs_alone_and_names_what_is_in_its_way(tmp_path):
    with (
        at_work(tmp_path, "infer"),
        pytest.raises(ResourceError, match="nothing else may run during an erasure, got infer under way"),
        nobody_else_at_work(tmp_path),
    ):
        pass

    with (
        nobody_else_at_work(tmp_path),
        pytest.raises(ResourceError, match="an erasure must come to its end first"),
        at_work(tmp_path, "infer"),
    ):
        pass


def test_a_turn_ends_with_its_process_however_that_ends(tmp_path):
    program = (
        "import sys, time; from pathlib import Path; from lidcflow.catalog.locks import at_work\n"
        "with at_work(Path(sys.argv[1]), 'train', alone=True): print('in', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "in\n"
    held = is_at_work(tmp_path, "train")

    other.kill()
    other.communicate()

    assert (held, is_at_work(tmp_path, "train"), is_at_work(tmp_path, "infer")) == (True, False, False)
