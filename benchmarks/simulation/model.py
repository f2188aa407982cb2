"""The preprocessing of many series on many workers, as queues: what is measured goes in, the wall time comes out.

A series waits for a worker, then its bytes come from storage while it is worked on, then it is committed; the flow's
process takes the result and sends the next one through the scheduler. `cluster.window` series a worker are under way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.simulation.engine import Clock, Server, Shared

SLICES_AHEAD = 8
"""Of a series from a bucket under way while one is worked on, as `lidcflow.pixels.open.AHEAD`."""

BUSY = 0.85
"""Share of the time from which a part counts as the limit."""


@dataclass(frozen=True)
class Job:
    """A series: what has to be read, and what has to be computed."""

    slices: int
    read_mb: float
    cpu_s: float


@dataclass(frozen=True)
class Costs:
    """What a series costs outside of its pixels, as measured.

    Parameters
    ----------
    commit_cpu_s, commit_wait_s : float
        Of a worker: encoding and hashing the volume, and waiting for storage to have it.
    written_mb : float
        Size of a stored volume.
    scheduler_s, flow_s : float
        Of the scheduler's process and the flow's: a task, its result, its row in the catalog, its event.
    batch_s, batch_size : float, int
        Of the flow's process for each Prefect task, and the series in one.
    start_s : float
        Before the first series: the stage's own beginning.
    prefect_s : float
        Of Prefect's server for the event of a series; the flow does not wait for it.
    """

    commit_cpu_s: float
    commit_wait_s: float
    written_mb: float
    scheduler_s: float
    flow_s: float
    batch_s: float = 0.02
    batch_size: int = 256
    start_s: float = 0.0
    prefect_s: float = 0.0


@dataclass(frozen=True)
class Place:
    """Where it runs.

    Parameters
    ----------
    workers : int
        Processes.
    cores : float
        Cores of all workers together; fewer than workers means that they share.
    link_mb_s, storage_mb_s : float
        Bandwidth of one worker, and of storage for all of them.
    latency_s : float
        Of a request to storage.
    window : int
        `cluster.window`.
    one_machine : bool
        Whether flow and scheduler run on the workers' cores.
    core : float
        What one process gets of a core, 0 to 1: less than 1 on a machine that has other work.
    """

    workers: int
    cores: float
    link_mb_s: float
    storage_mb_s: float
    latency_s: float = 0.0
    window: int = 4
    one_machine: bool = False
    core: float = 1.0


@dataclass(frozen=True)
class Outcome:
    """What came out: the wall time, and the share of it in which each part was busy, 0 to 1."""

    wall_s: float
    workers: float
    cores: float
    storage: float
    scheduler: float
    flow: float
    prefect: float

    @property
    def limit(self) -> str:
        """What is busiest, and so what more of would help; workers that wait for requests are busy with none."""
        names = ("cores", "storage", "scheduler", "flow", "prefect")
        parts = {name: getattr(self, name) for name in names}
        busiest = max(parts, key=lambda name: parts[name])
        return busiest if parts[busiest] >= BUSY else "requests"


def simulate(jobs: Sequence[Job], place: Place, costs: Costs) -> Outcome:
    """Run jobs through the queues.

    Parameters
    ----------
    jobs : sequence of Job
        In the order in which they are handed out.
    place, costs : Place, Costs
        Where, and at what cost.

    Examples
    --------
    Two seconds of work on one worker, nothing else:

    >>> nothing = Costs(0, 0, 0, 0, 0, 0)
    >>> simulate([Job(1, 0, 1.0)] * 2, Place(1, 1, 1, 1), nothing).wall_s
    2.0
    """
    return _Run(jobs, place, costs).outcome()


class _Run:
    def __init__(self, jobs: Sequence[Job], place: Place, costs: Costs) -> None:
        self._place, self._costs, self._clock = place, costs, Clock()
        self._cores = self._clock.share(place.cores, place.core)
        self._storage = self._clock.share(place.storage_mb_s, place.link_mb_s)
        shared: Shared | None = self._cores if place.one_machine else None
        self._flow, self._scheduler = Server(self._clock, shared), Server(self._clock, shared)
        self._prefect = Server(self._clock)
        self._unsent, self._ready = deque(jobs), deque[Job]()
        self._idle, self._worked_s = place.workers, 0.0
        self._answered = 0

    def outcome(self) -> Outcome:
        self._clock.after(self._costs.start_s, self._begin)
        wall_s = self._clock.run()
        place = self._place
        return Outcome(
            wall_s=wall_s,
            workers=self._worked_s / (place.workers * wall_s),
            cores=self._cores.used / (place.cores * wall_s),
            storage=self._storage.used / (place.storage_mb_s * wall_s),
            scheduler=self._scheduler.busy_s / wall_s,
            flow=self._flow.busy_s / wall_s,
            prefect=self._prefect.busy_s / wall_s,
        )

    def _begin(self) -> None:
        for _ in range(min(len(self._unsent), self._place.window * self._place.workers)):
            self._send()

    def _send(self) -> None:
        job = self._unsent.popleft()
        self._scheduler.ask(self._costs.scheduler_s, lambda: self._arrived(job))

    def _arrived(self, job: Job) -> None:
        self._ready.append(job)
        self._give_work()

    def _give_work(self) -> None:
        while self._idle and self._ready:
            self._idle -= 1
            self._work(self._ready.popleft(), self._clock.now_s)

    def _work(self, job: Job, since_s: float) -> None:
        """Read and compute side by side, then commit: encode, write, wait."""
        left = 3

        def part_done() -> None:
            nonlocal left
            left -= 1
            if not left:
                self._cores.add(self._costs.commit_cpu_s, write)

        def write() -> None:
            self._storage.add(self._costs.written_mb, wait)

        def wait() -> None:
            self._clock.after(self._costs.commit_wait_s, lambda: self._finished(since_s))

        self._storage.add(job.read_mb, part_done)
        self._cores.add(job.cpu_s, part_done)
        self._clock.after(job.slices * self._place.latency_s / SLICES_AHEAD, part_done)

    def _finished(self, since_s: float) -> None:
        self._worked_s += self._clock.now_s - since_s
        self._idle += 1
        self._give_work()
        self._answered += 1
        batch_s = self._costs.batch_s if self._answered % self._costs.batch_size == 0 else 0.0
        self._flow.ask(self._costs.flow_s + batch_s, self._told)

    def _told(self) -> None:
        self._prefect.ask(self._costs.prefect_s, lambda: None)
        if self._unsent:
            self._send()
