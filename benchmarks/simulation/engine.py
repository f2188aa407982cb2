"""What a discrete-event model is made of: a clock, shared resources and servers with a queue."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from itertools import count

Then = Callable[[], None]


class Clock:
    """Simulated time in seconds, and what happens when."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._due: list[tuple[float, int, Then]] = []
        self._order = count()
        self._shared: list[Shared] = []

    def after(self, delay_s: float, then: Then) -> None:
        """Call something later."""
        heapq.heappush(self._due, (self.now_s + delay_s, next(self._order), then))

    def share(self, capacity: float, most: float) -> Shared:
        """Return a resource that jobs share evenly.

        Parameters
        ----------
        capacity : float
            Units a second of all jobs together.
        most : float
            Units a second of one job.
        """
        self._shared.append(Shared(self, capacity, most))
        return self._shared[-1]

    def run(self) -> float:
        """Make everything happen, and return when the last thing did."""
        while True:
            ends = [(shared.next_end_s(), shared) for shared in self._shared if shared.jobs]
            first_s, first = min(ends, key=lambda end: end[0], default=(float("inf"), None))
            if self._due and self._due[0][0] <= first_s:
                self.now_s, _, then = heapq.heappop(self._due)
                then()
            elif first is not None:
                self.now_s = first_s
                first.end_first()()
            else:
                return self.now_s


class Shared:
    """Bandwidth, or the cores of a machine: as many units as there are, divided evenly among the jobs.

    All jobs get the same rate, so they end in the order of what was done for each of them when they came plus what
    they need: one number for all moves on, and no job is touched before it ends.
    """

    def __init__(self, clock: Clock, capacity: float, most: float) -> None:
        self._clock, self.capacity, self.most = clock, capacity, most
        self._done_for_each, self._at_s, self.used = 0.0, 0.0, 0.0
        self._ends: list[tuple[float, int, Then]] = []
        self._order = count()

    @property
    def jobs(self) -> int:
        """How many there are."""
        return len(self._ends)

    def add(self, amount: float, then: Then) -> None:
        """Start a job of so many units, and call something when it is done."""
        self._move_on()
        heapq.heappush(self._ends, (self._done_for_each + amount, next(self._order), then))

    def next_end_s(self) -> float:
        """Return when the next job ends if nothing comes in between."""
        return self._at_s + max(0.0, self._ends[0][0] - self._done_for_each) / self._rate()

    def end_first(self) -> Then:
        """Take away the job that ends now, and return what follows."""
        self._move_on()
        end, _, then = heapq.heappop(self._ends)
        self._done_for_each = max(self._done_for_each, end)
        return then

    def _rate(self) -> float:
        return min(self.most, self.capacity / len(self._ends))

    def _move_on(self) -> None:
        if self._ends:
            done = self._rate() * (self._clock.now_s - self._at_s)
            self._done_for_each += done
            self.used += done * len(self._ends)
        self._at_s = self._clock.now_s


class Server:
    """Something that does one thing after the other: a scheduler, the flow's process, a catalog.

    Parameters
    ----------
    clock : Clock
        Simulated time.
    cores : Shared, optional
        What its work takes a share of; without it, it has a core of its own.
    """

    def __init__(self, clock: Clock, cores: Shared | None = None) -> None:
        self._clock, self._cores = clock, cores
        self._waiting: deque[tuple[float, Then]] = deque()
        self._busy, self._since_s, self.busy_s = False, 0.0, 0.0

    def ask(self, work_s: float, then: Then) -> None:
        """Have something done in its turn."""
        self._waiting.append((work_s, then))
        if not self._busy:
            self._start()

    def _start(self) -> None:
        work_s, then = self._waiting.popleft()
        self._busy, self._since_s = True, self._clock.now_s

        def done() -> None:
            self.busy_s += self._clock.now_s - self._since_s
            self._busy = False
            if self._waiting:
                self._start()
            then()

        if self._cores:
            self._cores.add(work_s, done)
        else:
            self._clock.after(work_s, done)
