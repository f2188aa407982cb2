"""Result of a check for drift: frozen models, kept as JSON beside the page."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from lidcflow.notice import STATEMENT
from lidcflow.stats.estimate import Record

SCHEMA_VERSION: Literal["lidcflow.drift/1"] = "lidcflow.drift/1"
DATA = "drift.json"
"""File of a check, beside its page."""

Verdict = Literal["drift", "steady", "too few"]
Side = Literal["input", "output"]


class Group(Record):
    """One group of patients: how many, what people read of it, and the share of each value of the support."""

    patients: int
    summary: str
    shares: tuple[float, ...]


class QuantityDrift(Record):
    """One quantity, then and now.

    Parameters
    ----------
    key, name : str
        For programs, and for people.
    side : "input" or "output"
        Of the models.
    support : tuple of float or str
        The values it takes: ascending numbers, or words.
    reference, now : Group
        Training patients (of outputs: validation patients), and those read lately.
    distance, limit, p : float, optional
        See `lidcflow.drift.distance.Apart`; None when there are too few patients.
    unseen : tuple of str
        Words that no patient of the reference has.
    """

    key: str
    name: str
    side: Side
    support: tuple[float, ...] | tuple[str, ...]
    reference: Group
    now: Group
    distance: float | None = None
    limit: float | None = None
    p: float | None = None
    verdict: Verdict
    unseen: tuple[str, ...] = ()


class DriftCheck(Record):
    """One check of a release.

    Parameters
    ----------
    checked : datetime
        When; readings of the last `days` before it count.
    patients, series : int
        Read in that time with volumes at hand.
    not_evaluated, without_volume : int
        Series of that time that are not compared: without an answer; whose volume is gone, or was not made as the
        release's are.
    false_alarms : float
        Probability of any alarm where nothing drifts.
    minimum : int
        Fewest patients that are compared.
    """

    schema_version: Literal["lidcflow.drift/1"] = SCHEMA_VERSION
    statement: Literal["Research use only, not for diagnosis."] = STATEMENT
    release: str
    version: int
    synthetic: bool
    checked: datetime
    days: float
    patients: int
    series: int
    not_evaluated: int
    without_volume: int
    false_alarms: float
    minimum: int
    quantities: tuple[QuantityDrift, ...]
    lidcflow_version: str

    @property
    def alarms(self) -> tuple[QuantityDrift, ...]:
        """Quantities beyond their limit."""
        return tuple(one for one in self.quantities if one.verdict == "drift")

    @property
    def verdict(self) -> Verdict:
        """Of the whole: ``too few`` when nothing could be compared."""
        if self.alarms:
            return "drift"
        return "steady" if any(one.verdict == "steady" for one in self.quantities) else "too few"

    @property
    def sentence(self) -> str:
        """One sentence that sums up the check."""
        compared = sum(one.verdict != "too few" for one in self.quantities)
        when = f"in the last {self.days:g} days"
        if self.verdict == "too few":
            return (
                f"{self.patients} patients were read {when}: {self.minimum} are needed for {self.release} version "
                f"{self.version} to be compared with its training."
            )
        which = "; ".join(one.name for one in self.alarms)
        found = f"{len(self.alarms)} of {compared} quantities drifted: {which}" if which else "nothing drifted"
        return (
            f"{self.patients} patients read {when} beside those that {self.release} version {self.version} was made "
            f"on: {found}."
        )


def last_drift_check(folder: Path) -> DriftCheck | None:
    """Return the newest check below a folder of checks, each in a folder named by its day; None without any."""
    for file in sorted(folder.glob(f"*/{DATA}"), reverse=True):
        try:
            return DriftCheck.model_validate_json(file.read_bytes())
        except (OSError, ValidationError):
            continue
    return None
