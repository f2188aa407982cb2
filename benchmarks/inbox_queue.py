"""A queue of studies in a PACS, answered in rounds that are killed at random while they work.

Each round is a process of its own. It is killed some seconds after the ledger says that it has begun to work, and what
the ledger said at that moment is printed. At the end the PACS must hold one KO and one SR for each study, and the
ledger one delivery.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from lidcflow.config import Config, DeliveryConfig
from lidcflow.inbox.delivery import UNDER_WAY, Step
from lidcflow.inbox.ledger import Ledger
from tests.conftest import write_ct_series
from tests.orthanc import Orthanc, orthanc

LOOKS_A_SECOND = 5
KILLED_WITHIN_S = 8.0
"""After a round has begun to work: a killed one gets through some portions, or through none."""

ROUND_LIMIT_S = 7200.0


def queue(scratch: Path, studies: int, kills: int) -> None:
    """Go round, killed at random, then to the end, and tell what PACS and ledger hold."""
    with serving(scratch) as (config, server):
        for number in range(studies):
            server.send(write_ct_series(scratch / "in" / str(number), patient_id=str(number)))
        server.wait_until_stable(studies)
        started_s = time.perf_counter()
        for _ in range(kills):
            go_round(config, kill_after_s=random.uniform(0, KILLED_WITHIN_S))
        go_round(config)
        seconds = time.perf_counter() - started_s
        go_round(config)
        held, steps = Counter(documents_in(server)), said_by_ledger(config)
    print(f"{studies} studies in {seconds:.0f} s, {60 * studies / seconds:.1f} a minute, {kills} kills included")
    print(f"documents in the PACS: {dict(held)}; ledger: {words(steps)}; each must be {studies}")


def go_round(config: Config, kill_after_s: float | None = None) -> None:
    """Go round in a process of its own, killed so long after it began to work; print its memory and the workers'."""
    before, begun_s, started_s = said_by_ledger(config), None, time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "tests.inbox_round", "0"], stdin=subprocess.PIPE, text=True)
    assert process.stdin
    process.stdin.write(config.model_dump_json())
    process.stdin.close()
    memory: list[tuple[float, float]] = []
    while process.poll() is None and time.perf_counter() - started_s < ROUND_LIMIT_S:
        time.sleep(1 / LOOKS_A_SECOND)
        memory.append((rss_mib([process.pid]), rss_mib(worker_pids())))
        if kill_after_s is not None and begun_s is None and said_by_ledger(config) != before:
            begun_s = time.perf_counter()
        if kill_after_s is not None and begun_s is not None and time.perf_counter() - begun_s >= kill_after_s:
            break
    killed = process.poll() is None
    process.kill()
    process.wait()
    now = said_by_ledger(config)
    at_work = sum(now[step] for step in UNDER_WAY)
    end = f"killed with {at_work} under way" if killed else f"ended with code {process.returncode}"
    print(f"{end} after {time.perf_counter() - started_s:.0f} s: {words(now)}")
    for who, values in zip(("round", "workers"), zip(*memory, strict=True), strict=True):
        tenths = [round(values[len(values) * k // 10]) for k in range(10)]
        print(f"    {who}: MiB over time {tenths}, most {max(values):.0f}", flush=True)


def said_by_ledger(config: Config) -> Counter[Step]:
    """Count the deliveries in each step."""
    with Ledger(config.catalog) as ledger:
        return Counter(ledger.counts())


def words(steps: Counter[Step]) -> str:
    return ", ".join(f"{count} {step}" for step, count in steps.items()) or "nothing"


def rss_mib(pids: list[int]) -> float:
    total = 0
    for pid in pids:
        try:
            total += psutil.Process(pid).memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / 2**20


def worker_pids() -> list[int]:
    """Name the processes of the cluster, which are this process's children."""
    spawned = psutil.Process().children(recursive=True)
    return [one.pid for one in spawned if one.is_running() and "spawn_main" in " ".join(_command(one))]


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def documents_in(server: Orthanc) -> list[str]:
    """Return the modality of each document in the PACS."""
    series = server.ask("GET", "/series?expand")
    return [
        one["MainDicomTags"]["Modality"]
        for one in series
        if one["MainDicomTags"]["Modality"] in ("KO", "SR")
        for _ in one["Instances"]
    ]


@contextmanager
def serving(scratch: Path) -> Iterator[tuple[Config, Orthanc]]:
    """Yield a release, a cluster, and a PACS that is inbox and target."""
    from prefect.settings import PREFECT_API_URL
    from prefect.testing.utilities import prefect_test_harness

    from tests.released import release_in

    with (
        orthanc() as server,
        prefect_test_harness(server_startup_timeout=120),
        release_in(scratch / "released") as made,
    ):
        os.environ["PREFECT_API_URL"] = str(PREFECT_API_URL.value())
        delivery = DeliveryConfig(to=("pacs:main",), settle_s=0)
        own = {"workspace": scratch / "workspace", "inbox": "pacs:main", "access": server.access, "delivery": delivery}
        yield made.model_copy(update=own), server
