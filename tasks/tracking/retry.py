"""Wait for an MLflow server that is away, for a while."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import TypeVar

from lidcflow.errors import TrackingUnavailable
from tasks.progress import stage

Outcome = TypeVar("Outcome")

FIRST_DELAY_S, LONGEST_DELAY_S = 1.0, 30.0


# The library tenacity (9.2) would have the loop, and takes 84 ms of CPU time to import; the stage that people see while
# a server is waited for, the last delay, which is cut to the time that is left, and the closing sentence would stay.
def call_until_available(attempt: Callable[[], Outcome], wait_s: float, *, kept: str) -> Outcome:
    """Call `attempt` until it completes while the server is available, with growing delays between the calls.

    Parameters
    ----------
    attempt : callable
        Work that may be done again from its beginning.
    wait_s : float
        Time that the server may stay away, in all.
    kept : str
        What is kept and how to go on, for the sentence that ends it.

    Raises
    ------
    TrackingUnavailable
        If the server has not come back in time.
    """
    waited_s = 0.0
    for number in itertools.count():
        try:
            return attempt()
        except TrackingUnavailable as away:
            if waited_s >= wait_s:
                raise TrackingUnavailable(f"{away}; {kept}") from None
        delay_s = min(FIRST_DELAY_S * 2**number, LONGEST_DELAY_S, wait_s - waited_s)
        with stage("waiting-for-mlflow"):
            time.sleep(delay_s)
        waited_s += delay_s
    raise AssertionError
