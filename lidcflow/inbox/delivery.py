"""One series on its way from the source to its answer, and the rules of that way; no database and no clock here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Step(StrEnum):
    """Step of a series; the last six are final or waiting."""

    SEEN = "seen"
    SETTLED = "settled"
    PREPROCESSED = "preprocessed"
    SCORED = "scored"
    DELIVERED = "delivered"
    REFUSED = "refused"
    PASSED_OVER = "passed-over"
    FAILED = "failed"
    DEAD = "dead"
    SUPERSEDED = "superseded"


UNDER_WAY = (Step.SETTLED, Step.PREPROCESSED, Step.SCORED)
"""Steps that the next run continues, however the last one ended."""

UNFINISHED = (Step.SEEN, *UNDER_WAY, Step.FAILED)
"""Steps of deliveries that are not complete."""

OPEN = (*UNFINISHED, Step.DEAD)
"""Steps without an answer: another instance set of the same series takes their place."""

ANSWERED = (Step.DELIVERED, Step.REFUSED)
"""Steps with an answer: a refusal is one, and is delivered like any other."""

DONE = (*ANSWERED, Step.PASSED_OVER)
"""Steps that are not retried automatically; localizers and the like are passed over."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A series as a source shows it now.

    Parameters
    ----------
    series_instance_uid, study_instance_uid : str
        What it is; a study that can't be named is an empty string.
    instances : str
        Digest of its instance set, see `instance_set`; another one is another delivery.
    n_instances : int
        Images in it.
    state : str
        `Series.state`: changes whenever their content may have changed; empty where the source
        can't tell.
    """

    series_instance_uid: str
    study_instance_uid: str
    instances: str
    n_instances: int
    state: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A row of the ledger.

    Parameters
    ----------
    id : int
        Of the row.
    source : str
        Name of the source in the configuration.
    release : int
        Version that answers.
    step : Step
        How far it has come.
    attempts : int
        Times that it failed.
    next_try : datetime, optional
        When a failed one is tried again, in UTC.
    reason, sentence : str
        Why it was refused or failed.
    seen, updated : datetime
        When its instance set was first seen, and when its step last changed, in UTC.
    delivered : datetime, optional
        When its answer was, in UTC.
    """

    id: int
    series_instance_uid: str
    study_instance_uid: str
    instances: str
    n_instances: int
    source: str
    release: int
    step: Step
    attempts: int
    next_try: datetime | None
    reason: str
    sentence: str
    seen: datetime
    updated: datetime
    delivered: datetime | None


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Retry policy of a delivery: number of attempts and the delays between them.

    Parameters
    ----------
    attempts : int
        Failures after which it is dead: somebody has to look at it.
    first_s, longest_s : float
        Delay after the first failure; each further one doubles it, up to the longest.
    """

    attempts: int = 72
    first_s: float = 30.0
    longest_s: float = 3600.0

    def next_try(self, failures: int, now: datetime) -> datetime | None:
        """Return when to try again after a number of failures; None when there were too many.

        Examples
        --------
        >>> noon = datetime(2026, 1, 1, 12)
        >>> RetryPolicy().next_try(3, noon) - noon
        datetime.timedelta(seconds=120)
        """
        if failures >= self.attempts:
            return None
        return now + timedelta(seconds=min(self.first_s * 2 ** (failures - 1), self.longest_s))


def instance_set(sop_instance_uids: Iterable[str]) -> str:
    """Hash the images of a series; order and copies do not matter.

    Returns
    -------
    str
        64 hexadecimal digits.

    Examples
    --------
    >>> instance_set(["1.2", "1.1"]) == instance_set(["1.1", "1.2", "1.2"])
    True
    """
    return hashlib.sha256("\n".join(sorted(set(sop_instance_uids))).encode()).hexdigest()
