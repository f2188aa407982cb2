"""The gate's checks for people: a figure with its sign and interval, and rows of a table."""

from __future__ import annotations

from collections.abc import Sequence

from lidcflow.release.outcome import GateCheck

OUTCOMES = {True: "passed", False: "refused", None: "not judged"}


def format_difference(check: GateCheck) -> str:
    """Describe what was measured, differences with their sign and those of log loss as a percentage.

    Examples
    --------
    >>> from lidcflow.release.record import Estimate
    >>> lost = Estimate(value=-0.031)
    >>> format_difference(GateCheck(rule="", figure="log_loss", against="version 3", value=lost, passed=True))
    '-3.1%'
    """
    value, sign = check.value, "+" if check.against else ""
    if value.value is None:
        return "none"
    form = f"{sign}.1%" if check.figure == "log_loss" else f"{sign}.3f"
    interval = "" if value.low is None or value.high is None else f" ({value.low:{form}} to {value.high:{form}})"
    return f"{value.value:{form}}{interval}"


def check_rows(checks: Sequence[GateCheck]) -> list[tuple[str, str, str, str]]:
    """List the checks: rule, whose patients, what was measured, outcome; sectors that were not judged in one row."""
    rows = [
        (check.rule, check.split, format_difference(check), check.remark or OUTCOMES[check.passed])
        for check in checks
        if _has_own_row(check)
    ]
    alike: dict[str, list[GateCheck]] = {}
    for check in checks:
        if not _has_own_row(check):
            alike.setdefault(check.against, []).append(check)
    return rows + [(_together(group), group[0].split, "-", group[0].remark) for group in alike.values()]


def _has_own_row(check: GateCheck) -> bool:
    return check.passed is not None or check.sector is None


def _together(checks: Sequence[GateCheck]) -> str:
    numbers = ", ".join(str(check.sector) for check in checks)
    against = f", against {checks[0].against}" if checks[0].against else ""
    return f"slice AUROC in sector{'s' * (len(checks) > 1)} {numbers}{against}"
