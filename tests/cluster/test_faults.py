"""What breaks in a cluster while series are preprocessed on it: what the user sees, what is lost, how long it takes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from lidcflow.store.catalog import Catalog, State
from lidcflow.store.volumes import VolumeStore
from tests.cluster.fault_table import sentence
from tests.cluster.processes import wait_for
from tests.cluster.stack import Stack

WITHIN_S = 240
SERIES = 18
PACE_S = 0.15
"""Each answer of the storage waits: a job lasts long enough to be disturbed."""


@dataclass
class Job:
    """The preprocessing of some tiny series on the cluster, by a user's command.

    Parameters
    ----------
    servers : Stack
        Where it runs.
    folder : Path
        Its series.
    prefix : str
        What their UIDs begin with.
    """

    servers: Stack
    folder: Path
    prefix: str

    @contextmanager
    def running(self, **environ: str) -> Iterator[RunningJob]:
        """Start it; it is gone when the block ends."""
        with self.servers.running("lidcflow", "preprocess", str(self.folder), environ=environ) as process:
            yield RunningJob(self, process)

    def run(self) -> tuple[int, str]:
        """Do it, and return its exit code and what it says."""
        with self.running() as job:
            return job.end()

    def stored(self) -> set[str]:
        """Return which of its series the store holds."""
        config = self.servers.config
        return {uid for uid in VolumeStore.of(config).series_uids() if uid.startswith(self.prefix)}

    def check_truth(self) -> set[str]:
        """Make sure that each volume is whole, and that the catalog tells of exactly those; return their UIDs."""
        config, stored = self.servers.config, self.stored()
        store = VolumeStore.of(config)
        digests = {uid: store.record(uid).volume_digest for uid in stored}
        for uid in stored:
            assert store.read_hu(uid).shape[1:] == (config.preprocess.slices, *[config.preprocess.size] * 2)
        with Catalog(config.catalog) as catalog:
            rows = {row.series_instance_uid: row.volume_digest for row in catalog.rows(State.COMMITTED)}
        assert {uid: digest for uid, digest in rows.items() if uid.startswith(self.prefix)} == digests
        return stored


@dataclass
class RunningJob:
    """A job under way."""

    job: Job
    process: object

    def wait_for_volumes(self, count: int) -> float:
        """Wait until the store holds so many of its series."""
        return wait_for(lambda: len(self.job.stored()) >= count, WITHIN_S, self._said, lambda: self._runs())

    def end(self) -> tuple[int, str]:
        """Wait for its end; return its exit code and what it said."""
        said, _ = self.process.communicate(timeout=WITHIN_S)
        assert "Traceback" not in said, said
        return self.process.returncode, said

    def _runs(self) -> bool:
        return self.process.poll() is None

    def _said(self) -> str:
        return "the job has ended" if self._runs() else self.process.communicate()[0]


@pytest.fixture
def job(servers, ct_series, tmp_path_factory, request):
    """Give a job of its own to each test, at the pace of a busy storage."""
    number = 1 + [item for item in request.session.items if item.path == request.path].index(request.node)
    folder = servers.folder / "faults" / str(number)
    for series in range(1, SERIES + 1):
        ct_series(folder / str(series), series_uid=f"1.77.{number}.{series}", patient_id=f"{number}-{series}")
    servers.order(slow_s=PACE_S)
    yield Job(servers, folder, f"1.77.{number}.")
    servers.order()


def count_in_log(server, text):
    return server.log.read_text(errors="replace").count(text)


def worker_process(server):
    """Return the process that a nanny watches: the one that does the work."""
    return next(process for process in server.family() if "spawn_main" in " ".join(process.cmdline()))


def test_a_dask_worker_that_is_killed_costs_no_series(servers, job, fault_table):
    worker = servers.servers["cpu-worker-1"]

    with job.running() as running:
        running.wait_for_volumes(3)
        joined = count_in_log(worker, "Registered to")
        worker_process(worker).kill()
        back_s = wait_for(lambda: count_in_log(worker, "Registered to") > joined, WITHIN_S, worker.tail)
        code, said = running.end()

    assert code == 0, said
    assert len(job.check_truth()) == SERIES
    fault_table.add(
        1, "a Dask worker is killed", seen=sentence(said), recovery=f"{back_s:.0f} s: its nanny starts another"
    )


def test_a_scheduler_that_is_killed_ends_the_run_in_a_sentence_and_the_next_run_does_the_rest(
    servers, job, fault_table
):
    scheduler = servers.servers["scheduler"]

    with job.running() as running:
        running.wait_for_volumes(3)
        os.kill(scheduler.pid, signal.SIGKILL)
        fallen_s = time.monotonic()
        code, said = running.end()
        told_s = time.monotonic() - fallen_s
    kept = job.check_truth()
    again, said_again = job.run()
    all_well_s = time.monotonic() - fallen_s

    assert code == 1
    assert "Dask scheduler" in sentence(said)
    assert len(kept) >= 3
    assert again == 0, said_again
    assert len(job.check_truth()) == SERIES
    fault_table.add(
        2,
        "the Dask scheduler is killed; the engine starts another",
        seen=f"after {told_s:.0f} s: {sentence(said)}",
        recovery=f"{all_well_s:.0f} s: the same command again, which keeps what was stored",
    )


def test_a_database_that_restarts_under_all_servers_costs_a_run_nothing(servers, job, fault_table):
    with job.running() as running:
        running.wait_for_volumes(3)
        servers.postgres.stop_at_once()
        away_s = time.monotonic()
        servers.postgres.server.start()
        back_s = time.monotonic() - away_s
        code, said = running.end()

    assert code == 0, said
    assert len(job.check_truth()) == SERIES
    fault_table.add(
        4,
        "PostgreSQL restarts, transactions and all",
        seen=sentence(said),
        recovery=f"{back_s:.1f} s: each transaction is done again",
    )
