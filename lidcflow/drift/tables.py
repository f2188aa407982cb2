"""Rows of the table that the run's page, the terminal and the report show."""

from __future__ import annotations

from lidcflow.drift.record import DriftCheck, QuantityDrift

COLUMNS = ("quantity", "reference", "now", "distance", "limit", "p", "verdict")


def drift_rows(check: DriftCheck) -> list[tuple[str, ...]]:
    """List the quantities, those that drifted first; values belong to `COLUMNS`."""
    return [_row(one) for one in alarms_first(check)]


def alarms_first(check: DriftCheck) -> list[QuantityDrift]:
    """Order quantities by verdict, else as they came."""
    return sorted(check.quantities, key=lambda one: one.verdict != "drift")


def _row(one: QuantityDrift) -> tuple[str, ...]:
    unseen = f"; new: {', '.join(one.unseen)}" if one.unseen else ""
    figures = ("-" if value is None else f"{value:.3g}" for value in (one.distance, one.limit, one.p))
    return (one.name, one.reference.summary, one.now.summary, *figures, f"{one.verdict}{unseen}")
