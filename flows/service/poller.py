"""Poll the inbox from one warm process, and start its run when a series waits: ``python -P -m flows.service.poller``.

A run of the deployment is a process of its own that imports everything: some 7 s of CPU, and 200 KB in Prefect's
database. Most rounds find nothing, so `lidcflow up` polls here instead, which takes neither.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from flows.environment import WHOLE_CONFIG
from flows.service.folder_watch import FolderWatch
from flows.service.schedules import ANCHOR, interval_of_inbox
from lidcflow.catalog.database import utc_now
from lidcflow.catalog.locks import at_work
from lidcflow.config import Config
from lidcflow.errors import LidcflowError, WorkspaceBusy
from lidcflow.inbox.ledger import Ledger
from lidcflow.inbox.rounds import Round, Rounds
from lidcflow.source.places import FolderSource, ImageSource, PacsSource, parse_source
from tasks.arrivals import note_arrivals, recorded
from tasks.tracking.in_force import configured_release

AGAIN_S = 2.0
"""Seconds until the next poll while a round is in progress: what arrives meanwhile starts another round at once."""

REST_SHARE = 4
"""Rest after a poll in units of its CPU time, where another one is due soon: an inbox may hold many series."""

LONGEST_PAUSE_S = 600.0
"""Between two runs of which the first one failed as a whole: each takes seconds of CPU to fail in the same way."""

log = logging.getLogger("lidcflow.poller")


def main(config: Config) -> None:
    """Poll at once, when something comes into a folder, and at each multiple of the interval, until SIGTERM.

    A restart does not shift the schedule.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    every_s = interval_of_inbox(config)
    watch = FolderWatch(watched_folders(config))
    started = utc_now()
    while True:
        began_s = time.process_time()
        again_s = poll(config, started)
        pause_s = seconds_to_next(utc_now(), every_s)
        if again_s is not None:
            pause_s = min(pause_s, max(again_s, REST_SHARE * (time.process_time() - began_s)))
        watch.wait(pause_s)


def watched_folders(config: Config) -> list[Path]:
    """Return the sources of the inbox that are folders of this machine."""
    sources = (parse_source(source, config.access) for source in config.inboxes)
    return [source.path for source in sources if isinstance(source, FolderSource)]


def seconds_to_next(now: datetime, every_s: int) -> float:
    """Return the time until the next multiple of an interval.

    Examples
    --------
    >>> seconds_to_next(ANCHOR + timedelta(seconds=130), 60)
    50.0
    """
    return every_s - (now - ANCHOR).total_seconds() % every_s


def poll(config: Config, started: datetime) -> float | None:
    """Poll every source once and request a run if a series is waiting; an error is recorded and polling continues.

    Parameters
    ----------
    config : Config
        Names the inbox.
    started : datetime
        Start of this process: rounds that failed before do not delay the next one.

    Returns
    -------
    float, or None
        Seconds until another poll may find more: a round is under way, or a study has to be quiet for so long. None if
        only the schedule and what comes can tell.
    """
    try:
        with recorded(config.catalog) as record:
            found = poll_sources(config)
        if not found.waiting:
            record(found)
            return seconds_to_settle(config)
        if pause := pause_after_failures(config, utc_now(), started):
            log.info("a series waits; the last runs failed, so the next one starts in %.0f s or later", pause)
            return None
        return AGAIN_S if request_inbox_run() else None
    except WorkspaceBusy:
        return AGAIN_S
    except LidcflowError as error:
        log.warning(str(error))
    except Exception as error:  # the poller must outlive whatever one source makes of it
        log.error("%s", type(error).__name__)
    return None


def seconds_to_settle(config: Config) -> float | None:
    """Return when the next study of a folder or bucket may have settled; None where none has to."""
    sources = [parse_source(source, config.access) for source in config.inboxes]
    with Ledger(config.catalog) as ledger:
        found = [
            ledger.seconds_to_settle(source.text, config.delivery.settle_s)
            for source in sources
            if not isinstance(source, PacsSource)
        ]
    return min((one for one in found if one is not None), default=None)


def poll_sources(config: Config) -> Round:
    """Note what the sources show; `waiting` counts the series that a run would work on now.

    Raises
    ------
    LidcflowError
        If there is no release to read with, or the ledger can't be written.
    """
    with at_work(config.workspace, "inbox", alone=True, catalog=config.catalog), Ledger(config.catalog) as ledger:
        release = configured_release(config)
        reading = config.model_copy(update={"preprocess": release.preprocess})
        sources = [parse_source(source, config.access) for source in config.inboxes]
        unreachable = note_all(sources, reading, ledger, release.version)
        waiting = sum(len(ledger.waiting(source.text)) for source in sources)
        return Round(unreachable=tuple(unreachable), waiting=waiting)


def note_all(sources: Sequence[ImageSource], config: Config, ledger: Ledger, release: int) -> list[str]:
    """Note what each source shows; return a sentence for each that could not be looked into."""
    unreachable = []
    for source in sources:
        try:
            note_arrivals(source, config, ledger, release, log)
        except LidcflowError as error:
            unreachable.append(str(error))
    return unreachable


def pause_after_failures(config: Config, now: datetime, started: datetime) -> float:
    """Return how long no run is to be started: after whole rounds failed, for twice as long each time.

    What failed before the start may be a round that was killed, or what somebody has mended meanwhile.
    """
    with Rounds(config.catalog) as rounds:
        newest = rounds.newest(1)
    if not newest or not newest[0].error or newest[0].ended is None or newest[0].ended < started:
        return 0.0
    every_s = interval_of_inbox(config)
    pause_s = min(every_s * 2.0 ** min(newest[0].times - 1, 10), max(LONGEST_PAUSE_S, every_s))
    return max(0.0, (newest[0].ended + timedelta(seconds=pause_s) - now).total_seconds())


def request_inbox_run() -> bool:
    """Ask Prefect for a run, unless somebody paused the deployment; return whether one is due or under way now."""
    from flows.service.inbox_run import request_run  # Prefect's client is loaded when the first series comes

    requested = request_run()
    if requested.sentence:
        log.info(requested.sentence)
    return requested.under_way


if __name__ == "__main__":
    main(Config.model_validate_json(os.environ[WHOLE_CONFIG]))
