"""`lidcflow preprocess` while workers, flows and disks fail: real processes, and the truth afterwards."""

import csv
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from prefect.settings import get_current_settings

from lidcflow.catalog.series import Catalog, State
from lidcflow.config.file import load_config
from tests.truth import bytes_of, check_truth, drafts_of

PROGRAM = "if __name__ == '__main__': import sys; sys.path.insert(0, {root!r}); from flows.cli import main; main()"
SETTINGS = """
workspace = "{workspace}"
patient_key = "public"
[preprocess]
slices = 8
size = 16
[cluster]
workers = 2
batch_size = 8
memory_limit = "500MiB"
series_within_s = {within_s}
"""
HARM = '''
"""Loaded by every worker: some series do harm."""
import os, re, signal, time
import tasks.candidates

reduce_series = tasks.candidates.reduce_series

HARM = {
    "1.2.1": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "1.2.2": lambda: time.sleep(60) if bytearray(600 << 20) else None,
    "1.2.3": lambda: re.match("(a+)+$", "a" * 60 + "b"),
}

def harmed(series, *arguments, **options):
    HARM.get(series.series_instance_uid, lambda: None)()
    return reduce_series(series, *arguments, **options)

def dask_setup(worker):
    tasks.candidates.reduce_series = harmed
'''


class Place:
    """A folder with an archive, and workspaces to bring it to."""

    def __init__(self, folder, ct_series):
        self.folder, self._ct_series = folder, ct_series
        (folder / "run.py").write_text(PROGRAM.format(root=str(Path(__file__).parents[2])))
        self.environment = {**os.environ, "PREFECT_API_URL": str(get_current_settings().api.url)}

    def archive(self, count, **options):
        for number in range(1, count + 1):
            self._ct_series(self.folder / "source" / str(number), series_uid=f"1.2.{number}", **options)

    def config(self, workspace="workspace", within_s=900):
        file = self.folder / f"{Path(workspace).name}.toml"
        file.write_text(SETTINGS.format(workspace=self.folder / workspace, within_s=within_s))
        return load_config(file, environ={})

    @contextmanager
    def running(self, config, *options, **environment):
        """Start `lidcflow preprocess`; it is gone at the end."""
        toml = self.folder / f"{config.workspace.name}.toml"
        command = [sys.executable, "run.py", "preprocess", "source", "--config", str(toml), *options]
        with subprocess.Popen(
            command,
            cwd=self.folder,
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def run(self, config, *options, **environment):
        with self.running(config, *options, **environment) as process:
            said, _ = process.communicate(timeout=120)
        assert "Traceback" not in said, said
        return process.returncode, said


@pytest.fixture
def place(tmp_path, ct_series, prefect_server):
    return Place(tmp_path, ct_series)


def wait_for_volumes(config, count, process):
    while len(list(Path(config.store_root).glob("series/[0-9]*"))) < count:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def test_series_that_end_their_workers_are_given_up_and_all_others_are_done(place):
    place.archive(10)
    config = place.config(within_s=4)
    (place.folder / "harm.py").write_text(HARM)
    preload = f'["{place.folder}/harm.py"]'

    code, said = place.run(config, "--csv", "aside.csv", DASK_DISTRIBUTED__WORKER__PRELOAD=preload)

    assert code == 3, said
    assert set(check_truth(config)) == {f"1.2.{number}" for number in range(4, 11)}
    with (place.folder / "aside.csv").open(newline="") as stream:
        aside = {row["series_instance_uid"]: row["reason"] for row in csv.DictReader(stream)}
    assert aside == dict.fromkeys(["1.2.1", "1.2.2", "1.2.3"], "quarantined")
    with Catalog(config.catalog) as catalog:
        failed = catalog.rows(State.FAILED)
    assert {row.series_instance_uid for row in failed} == set(aside)
    assert all("cluster.series_within_s" in row.sentence for row in failed)


def test_a_killed_worker_costs_no_series(place):
    place.archive(30)
    config = place.config()

    with place.running(config) as flow:
        wait_for_volumes(config, 5, flow)
        workers = [child for child in psutil.Process(flow.pid).children() if "spawn_main" in "".join(child.cmdline())]
        workers[0].kill()
        said, _ = flow.communicate(timeout=120)

    assert flow.returncode == 0, said
    assert len(check_truth(config)) == 30
    assert len(drafts_of(config)) <= 1


def test_a_killed_run_leaves_no_process_and_the_next_one_does_the_rest_with_the_same_bytes(place):
    place.archive(40)
    undisturbed, config = place.config("undisturbed"), place.config()
    place.run(undisturbed)
    alone = {**place.environment}
    del place.environment["PREFECT_API_URL"]

    with place.running(config) as flow:
        wait_for_volumes(config, 10, flow)
        family = psutil.Process(flow.pid).children(recursive=True)
        os.kill(flow.pid, signal.SIGKILL)
        flow.wait()
    _, left = psutil.wait_procs(family, timeout=30)
    kept = len(list(Path(config.store_root).glob("series/[0-9]*")))
    place.environment = alone
    code, said = place.run(config)

    assert left == []
    assert code == 0, said
    assert f"{40 - kept} preprocessed, {kept} reused" in said
    assert len(check_truth(config)) == 40
    assert bytes_of(config) == bytes_of(undisturbed)


def test_two_runs_on_one_store_both_end_well_with_the_same_bytes(place):
    place.archive(20)
    undisturbed, config = place.config("undisturbed"), place.config()
    place.run(undisturbed)

    with place.running(config) as one, place.running(config) as other:
        said = [one.communicate(timeout=120)[0], other.communicate(timeout=120)[0]]

    assert (one.returncode, other.returncode) == (0, 0), said
    assert len(check_truth(config)) == 20
    assert drafts_of(config) == []
    assert bytes_of(config) == bytes_of(undisturbed)


def test_a_server_that_goes_away_stops_no_series_and_ends_in_one_sentence(place):
    place.archive(20)
    config = place.config()
    del place.environment["PREFECT_API_URL"]

    with place.running(config, PREFECT_CLIENT_MAX_RETRIES="0") as flow:
        wait_for_volumes(config, 5, flow)
        (server,) = [child for child in psutil.Process(flow.pid).children() if "uvicorn" in child.cmdline()]
        server.kill()
        said, _ = flow.communicate(timeout=120)

    assert flow.returncode == 1
    assert "error: Prefect server: must stay up while a flow runs" in said
    assert len(check_truth(config)) == 20


DISK_BYTES = 1300 * 2**20
"""Room for 40 volumes with candidates, as is asked for before they are made."""

LEFT_BYTES = 8 * 2**20
"""A little for the catalog, not enough for a volume and its reserve."""


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mounted, check=False, capture_output=True).returncode:
        pytest.skip("a small disk needs the right to mount one")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_one_sentence_and_with_room_again_the_next_run_finishes(place, small_disk):
    place.archive(40)
    config = place.config("small/workspace")

    with place.running(config) as flow:
        wait_for_volumes(config, 5, flow)
        resize(small_disk, used_bytes(small_disk) + LEFT_BYTES)  # at once: writing a filler takes too long
        said, _ = flow.communicate(timeout=120)
    full = check_truth(config)
    left_aside = drafts_of(config)
    resize(small_disk, DISK_BYTES)
    code, said_again = place.run(config)

    assert flow.returncode == 1, said
    assert said.splitlines()[-1].startswith("error: store ")
    assert "disk must have" in said.splitlines()[-1]
    assert left_aside == []
    assert 5 <= len(full) < 40
    assert code == 0, said_again
    assert len(check_truth(config)) == 40


def used_bytes(folder):
    found = os.statvfs(folder)
    return (found.f_blocks - found.f_bavail) * found.f_frsize


def resize(folder, size_bytes):
    subprocess.run(["mount", "-o", f"remount,size={size_bytes}", str(folder)], check=True)
