"""Compare what was read lately with the profile of its release."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from importlib.metadata import version as installed_version

import numpy as np
from numpy.typing import NDArray

from lidcflow.config import DriftConfig
from lidcflow.drift.distance import Apart, compare_groups, coordinates
from lidcflow.drift.profile import Profile
from lidcflow.drift.quantities import Quantity, Recent, quantities
from lidcflow.drift.record import DriftCheck, Group, QuantityDrift
from lidcflow.release.record import ReleaseRecord

MOST_WORDS = 3
"""Words that a summary names; the page shows all."""


def check_drift(
    release: ReleaseRecord, profile: Profile, recent: Recent, config: DriftConfig, checked: datetime
) -> DriftCheck:
    """Compare every quantity; without drift, all of them together raise a false alarm as rarely as configured.

    Parameters
    ----------
    release : ReleaseRecord
        The release.
    profile : Profile
        Its training and validation patients.
    recent : Recent
        What was read in the last ``config.days``.
    config : DriftConfig
        False alarm rate of the whole check, fewest patients.
    checked : datetime
        Time of the check.
    """
    watched = list(quantities(profile, recent, sector_num=release.sector_num, threshold=release.threshold_nodule))
    return DriftCheck(
        release=release.name,
        version=release.version,
        synthetic=release.synthetic or recent.synthetic,
        checked=checked,
        days=config.days,
        patients=len(set(recent.patients)),
        series=len(recent.patients),
        not_evaluated=recent.not_evaluated,
        without_volume=recent.without_volume,
        false_alarms=config.false_alarms,
        minimum=config.minimum,
        quantities=tuple(_judged(watched, config)),
        lidcflow_version=installed_version("lidcflow"),
    )


def _judged(watched: list[Quantity], config: DriftConfig) -> Iterator[QuantityDrift]:
    """Share the rate of false alarms evenly among the quantities that are compared (Bonferroni)."""
    compared = [_is_comparable(one, config.minimum) for one in watched]
    for one, comparable in zip(watched, compared, strict=True):
        if not comparable:
            yield _described(one, None)
            continue
        groups = (coordinates(rows, one.numbers) for rows in (one.reference, one.now))
        yield _described(one, compare_groups(*groups, false_alarms=config.false_alarms / sum(compared)))


def _is_comparable(one: Quantity, minimum: int) -> bool:
    return len(one.now) >= minimum and len(one.reference) > 0


def _described(one: Quantity, apart: Apart | None) -> QuantityDrift:
    then, now = (_mean(rows) for rows in (one.reference, one.now))
    return QuantityDrift(
        key=one.key,
        name=one.name,
        side=one.side,
        support=one.support if isinstance(one.support, tuple) else tuple(one.support.round(6).tolist()),
        reference=_group(one, one.reference),
        now=_group(one, one.now),
        distance=apart and apart.distance,
        limit=apart and apart.limit,
        p=apart and apart.p,
        verdict="too few" if apart is None else "drift" if apart.drifted else "steady",
        unseen=tuple(word for word, old, new in zip(_words(one), then, now, strict=False) if new > 0 == old),
    )


def _group(one: Quantity, rows: NDArray[np.float64]) -> Group:
    shares = _mean(rows)
    summary = "none" if not len(rows) else _most_frequent(_words(one), shares) if _words(one) else _spread(one, shares)
    return Group(patients=len(rows), summary=summary, shares=tuple(shares.round(6).tolist()))


def _words(one: Quantity) -> tuple[str, ...]:
    return one.support if isinstance(one.support, tuple) else ()


def _mean(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return rows.mean(axis=0) if len(rows) else np.zeros(rows.shape[1])


def _most_frequent(words: tuple[str, ...], shares: NDArray[np.float64]) -> str:
    order = [int(index) for index in np.argsort(-shares, kind="stable") if shares[index] > 0]
    named = [f"{words[index]} {shares[index]:.0%}" for index in order[:MOST_WORDS]]
    return ", ".join([*named, f"{len(order) - MOST_WORDS} more"] if len(order) > MOST_WORDS else named)


def _spread(one: Quantity, shares: NDArray[np.float64]) -> str:
    """Describe the mean, and the 5th and 95th percentile."""
    support = np.asarray(one.support, dtype=np.float64)
    low, high = (support[min(int(np.searchsorted(shares.cumsum(), share)), len(support) - 1)] for share in (0.05, 0.95))
    return f"{float(shares @ support):.4g} ({low:.4g} to {high:.4g})"
