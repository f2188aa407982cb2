"""Choose where polling of a new PACS begins: it may hold ten years of studies that need no answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from lidcflow.config.service import Since
from lidcflow.errors import PacsError, SourceError
from lidcflow.pacs.address import PacsService
from lidcflow.pacs.client import NotFound, Pacs
from lidcflow.pacs.feed import Position, StudyChange, feed_of, newest_change, number_of_page, read_feed, studies_there

JUST_BEFORE = timedelta(hours=1)
"""Time before the first poll that *now* still includes: the arrival of a study may have triggered that poll."""


def read_backlog(pacs: Pacs, today: date, *, now: datetime | None = None) -> tuple[list[StudyChange], Position]:
    """Poll a PACS for the first time, from the point that its setting ``since`` names, and note what is left out.

    Parameters
    ----------
    pacs : Pacs
        The service.
    today : date
        Day of the PACS.
    now : datetime, optional
        In UTC.

    Returns
    -------
    list of StudyChange, Position
        As of `lidcflow.pacs.feed.read_feed`.

    Raises
    ------
    PacsError, SourceError
        If the service is away, refuses access, or is none.
    """
    begun = (now or datetime.now(UTC)).replace(microsecond=0)
    changes, reached = read_feed(pacs, _beginning(pacs, today, begun), today)
    left_out = None if reached.left_out is None else max(0, reached.left_out - len(changes))
    noted = {"since": str(pacs.service.config.since), "begun": begun, "left_out": left_out}
    return changes, reached.model_copy(update=noted)


def since_moved_back(service: PacsService, position: Position) -> bool:
    """Return whether ``since`` has been set to read what was left out when the PACS was first looked at."""
    since = service.config.since
    return position.since is not None and since != "now" and str(since) != position.since


def what_is_left_out(name: str, position: Position) -> str | None:
    """Return a sentence about the studies that get no answer; None where there are none, or it is not known.

    Examples
    --------
    >>> said = what_is_left_out("pacs:main", Position(since="now", begun=datetime(2026, 1, 2, 8), left_out=1234))
    >>> print(said.partition(";")[0])
    pacs:main: studies that it held on 2026-01-02 at 08:00 UTC are left out, 1234 of them
    """
    if position.since in (None, "everything") or position.begun is None or position.left_out == 0:
        return None
    way_out = f'set since = "everything" or a date in [access.pacs.{name.removeprefix("pacs:")}] to have them read'
    if position.since != "now":
        return f"{name}: studies from before {position.since} are left out; {way_out}"
    count = "" if position.left_out is None else f", {position.left_out} of them"
    return f"{name}: studies that it held on {position.begun:%Y-%m-%d at %H:%M} UTC are left out{count}; {way_out}"


def _beginning(pacs: Pacs, today: date, now: datetime) -> Position:
    since = pacs.service.config.since
    if feed_of(pacs):
        return _in_feed(pacs, since, now)
    if since == "now":
        there = studies_there(pacs, Position(), today)
        return Position(seen=there, left_out=len(there))
    return Position(reach=date.min if since == "everything" else since)


def _in_feed(pacs: Pacs, since: Since, now: datetime) -> Position:
    if since == "everything":
        return Position()
    newest = newest_change(pacs)
    if since == "now":
        return Position(sequence=_last_before(pacs, now - JUST_BEFORE, newest), left_out=_studies_held(pacs))
    return Position(sequence=_last_before(pacs, datetime.combine(since, time()), newest))


def _last_before(pacs: Pacs, moment: datetime, newest: int) -> int:
    """Find the last change before a moment by halving: a feed of ten years has millions of them.

    All changes up to `low` are from before it, and the first one after `high` is not.
    """
    low, high = 0, newest
    while low < high:
        middle = (low + high) // 2
        change = _first_after(pacs, middle)
        if change is None or str(change.get("Date", "")) >= f"{moment:%Y%m%dT%H%M%S}":
            high = middle
        else:
            low = max(middle + 1, number_of_page(change, "Seq") or 0)
    return low


def _first_after(pacs: Pacs, sequence: int) -> Mapping[str, Any] | None:
    page, _ = pacs.get_json(str(feed_of(pacs)), {"since": str(sequence), "limit": "1"})
    changes = page.get("Changes") if isinstance(page, Mapping) else None
    return changes[0] if isinstance(changes, list) and changes and isinstance(changes[0], Mapping) else None


def _studies_held(pacs: Pacs) -> int | None:
    """Ask Orthanc how many studies it holds; a proxy may not let that through."""
    try:
        said, _ = pacs.get_json(f"{str(feed_of(pacs)).rpartition('/')[0]}/statistics")
    except (NotFound, PacsError, SourceError):
        return None
    count = said.get("CountStudies") if isinstance(said, Mapping) else None
    return count if isinstance(count, int) else None
