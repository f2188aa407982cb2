"""What breaks in a cluster while series are preprocessed on it: what the user sees, what is lost, how long it takes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from lidcflow.catalog.series import Catalog, State
from lidcflow.store.volumes import VolumeStore
from tests.cluster.fault_table import sentence
from tests.cluster.processes import wait_for
from tests.cluster.stack import Stack

pytestmark = pytest.mark.faults

WITHIN_S = 240
SERIES = 12
CLOCK = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
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
        """Start it, with a busy storage; it is gone when the block ends."""
        self.servers.order(slow_s=PACE_S)
        with self.servers.running("lidcflow", "preprocess", str(self.folder), environ=environ) as process:
            yield RunningJob(self, process)

    def run(self) -> tuple[int, str]:
        """Do it undisturbed, and return its exit code and what it says."""
        with self.servers.running("lidcflow", "preprocess", str(self.folder)) as process:
            return RunningJob(self, process).end()

    def stored(self) -> set[str]:
        """Return which of its series the store holds; the first job makes the store."""
        config = self.servers.config
        store = VolumeStore.found(config.store_root, config.access)
        return {uid for uid in store.series_uids() if uid.startswith(self.prefix)} if store else set()

    def check_whole(self) -> set[str]:
        """Make sure that each volume is whole and the catalog claims no other one; return the UIDs of the volumes."""
        digests, told = self._digests(), self._told()
        assert told.items() <= digests.items()
        return set(digests)

    def check_truth(self) -> set[str]:
        """Make sure that each volume is whole, and that the catalog tells of exactly those; return their UIDs."""
        digests = self._digests()
        assert self._told() == digests
        return set(digests)

    def _digests(self) -> dict[str, str]:
        """Read every volume of the job."""
        config, store = self.servers.config, VolumeStore.of(self.servers.config)
        for uid in self.stored():
            assert store.read_hu(uid).shape[1:] == (config.preprocess.slices, *[config.preprocess.size] * 2)
        return {uid: store.record(uid).volume_digest for uid in self.stored()}

    def _told(self) -> dict[str, str]:
        """Return what the catalog says is stored of the job."""
        with Catalog(self.servers.config.catalog) as catalog:
            rows = {row.series_instance_uid: row.volume_digest for row in catalog.rows(State.COMMITTED)}
        return {uid: digest for uid, digest in rows.items() if uid.startswith(self.prefix)}


@dataclass
class RunningJob:
    """A job under way."""

    job: Job
    process: subprocess.Popen[str]

    def wait_for_volumes(self, count: int) -> float:
        """Wait until the store holds so many of its series."""
        return wait_for(lambda: len(self.job.stored()) >= count, WITHIN_S, self._said, lambda: self._runs())

    def end(self) -> tuple[int, str]:
        """Wait for its end; return its exit code and what it said. The storage is not busy any more then."""
        said, _ = self.process.communicate(timeout=WITHIN_S)
        self.job.servers.order()
        assert "Traceback" not in said, said
        return self.process.returncode, said

    def _runs(self) -> bool:
        return self.process.poll() is None

    def _said(self) -> str:
        return "the job has ended" if self._runs() else self.process.communicate()[0]


@pytest.fixture
def job(servers, ct_series, tmp_path_factory, request):
    """Yield a job of its own to each test, at the pace of a busy storage."""
    number = 1 + [item for item in request.session.items if item.path == request.path].index(request.node)
    folder = servers.folder / "faults" / str(number)
    for series in range(1, SERIES + 1):
        ct_series(folder / str(series), series_uid=f"1.77.{number}.{series}", patient_id=f"{number}-{series}")
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


def test_a_prefect_server_that_is_away_for_half_a_minute_delays_a_run_and_no_more(servers, job, fault_table):
    prefect = servers.servers["prefect"]

    with job.running() as running:
        running.wait_for_volumes(3)
        prefect.kill()
        time.sleep(30)
        prefect.start()
        back_s = time.monotonic()
        code, said = running.end()
        ended_s = time.monotonic() - back_s

    assert code == 0, said
    assert len(job.check_truth()) == SERIES
    fault_table.add(
        5, "the Prefect server is away for 30 s", seen=sentence(said), recovery=f"{ended_s:.0f} s after it is back"
    )


def test_a_prefect_server_that_stays_away_ends_a_run_in_a_sentence_and_the_series_are_stored(servers, job, fault_table):
    prefect = servers.servers["prefect"]

    with job.running(PREFECT_CLIENT_MAX_RETRIES="1") as running:
        running.wait_for_volumes(3)
        prefect.kill()
        fallen_s = time.monotonic()
        code, said = running.end()
        told_s = time.monotonic() - fallen_s
    stored = job.check_truth()
    prefect.start()
    again, said_again = job.run()

    assert code == 1
    assert "Prefect server: must stay up while a flow runs" in sentence(said)
    assert len(stored) == SERIES
    assert again == 0, said_again
    assert f"{SERIES} reused" in said_again
    fault_table.add(
        6,
        "the Prefect server goes away for good",
        seen=sentence(said),
        recovery=f"told within {told_s:.0f} s (with one retry of Prefect's client; a minute with its default)",
    )


def test_a_storage_that_answers_503_and_slowly_costs_time_and_no_series(servers, job, fault_table):
    with job.running() as running:
        running.wait_for_volumes(1)
        servers.order(every=3, status=503, slow_s=0.3)
        code, said = running.end()
    asked = servers.order()

    assert code == 0, said
    assert len(job.check_truth()) == SERIES
    assert len(asked) > SERIES
    fault_table.add(
        7,
        "the object store answers every third request with 503, and all slowly",
        seen=sentence(said),
        recovery="at once: requests are sent again",
    )


def test_a_storage_that_answers_nothing_but_503_ends_a_run_in_a_sentence(servers, job, fault_table):
    with job.running(LIDCFLOW_ACCESS__S3__RETRIES="1") as running:
        running.wait_for_volumes(3)
        servers.order(every=1, status=503)
        code, said = running.end()
    servers.order()
    kept = job.check_whole()
    again, said_again = job.run()

    assert code == 1
    assert "s3://" in sentence(said)
    assert len(kept) >= 3
    assert again == 0, said_again
    assert len(job.check_truth()) == SERIES
    fault_table.add(
        8,
        "the object store answers nothing but 503",
        seen=sentence(said),
        recovery="the same command again, which keeps what was stored",
    )


def test_a_worker_that_is_cut_off_from_the_network_costs_no_series(servers, job, fault_table):
    worker = servers.servers["cpu-worker-2"]

    with job.running() as running:
        running.wait_for_volumes(3)
        with servers.net.parted("cpu-worker-2"):
            cut_s = time.monotonic()
            code, said = running.end()
            done_s = time.monotonic() - cut_s
    registered = count_in_log(worker, "Registered to")
    mended_s = time.monotonic()
    wait_for(lambda: count_in_log(worker, "Registered to") > registered, WITHIN_S, worker.tail)
    back_s = time.monotonic() - mended_s

    assert code == 0, said
    assert len(job.check_truth()) == SERIES
    fault_table.add(
        12,
        "a Dask worker is cut off from the network",
        seen=sentence(said),
        recovery=f"{done_s:.0f} s until the others had done its series; back {back_s:.0f} s after the network is",
    )


def test_a_worker_whose_clock_is_two_hours_ahead_works_like_the_others(servers, job, fault_table):
    if not CLOCK.is_file():
        pytest.skip("a shifted clock needs the Debian package libfaketime")
    worker = servers.servers["cpu-worker-2"]
    usual = worker.environment
    worker.kill()
    worker.environment = {**usual, "LD_PRELOAD": str(CLOCK), "FAKETIME": "+2h", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    try:
        registered = count_in_log(worker, "Registered to")
        worker.start()
        wait_for(lambda: count_in_log(worker, "Registered to") > registered, WITHIN_S, worker.tail)
        code, said = job.run()
    finally:
        worker.kill()
        worker.environment = usual
        worker.start()

    assert code == 0, said
    assert len(job.check_truth()) == SERIES
    fault_table.add(
        13,
        "the clock of a worker is 2 hours ahead",
        seen=sentence(said),
        recovery="nothing to recover: no step compares clocks of two machines; a real object store refuses "
        "requests that are 15 minutes off, which the one of the tests does not",
    )


def test_a_power_cut_loses_what_was_not_committed_and_no_more(servers, job, fault_table):
    with job.running() as running:
        running.wait_for_volumes(3)
        cut_s = time.monotonic()
        servers.cut_power()
    servers.restore_power()
    up_s = time.monotonic() - cut_s
    kept = job.check_whole()
    code, said = job.run()

    assert len(kept) >= 3
    assert code == 0, said
    assert len(job.check_truth()) == SERIES
    fault_table.add(
        16,
        "power cut: every process but the object store is killed at once",
        seen=sentence(said),
        lost="what was under way",
        recovery=f"{up_s:.0f} s until all servers answer; then the same command again, which keeps what was stored",
    )
