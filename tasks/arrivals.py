"""Note in the ledger what a source of the inbox shows; Prefect is not imported here."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import date

from lidcflow.catalog.database import utc_now
from lidcflow.config import Config
from lidcflow.dicom.values import is_uid
from lidcflow.erase.subject import Subject, Target
from lidcflow.errors import EmptySource, LidcflowError, WorkspaceBusy
from lidcflow.inbox.cursors import position_in
from lidcflow.inbox.ledger import Ledger
from lidcflow.inbox.rounds import Round, Rounds
from lidcflow.inbox.sightings import indexed_sightings, pacs_sightings
from lidcflow.pacs.backlog import read_backlog, since_moved_back, what_is_left_out
from lidcflow.pacs.client import Pacs
from lidcflow.pacs.feed import Position, StudyChange, read_feed
from lidcflow.series.verdicts import Index
from lidcflow.source.places import ImageSource, PacsSource
from tasks.source import erased_subjects, find_series

Log = logging.Logger | logging.LoggerAdapter[logging.Logger]


def note_arrivals(source: ImageSource, config: Config, ledger: Ledger, release: int, log: Log) -> None:
    """Note what a source shows for a release to read, and move on what has settled.

    Raises
    ------
    LidcflowError
        If the source can't be looked into.
    """
    if isinstance(source, PacsSource):
        settle_s = note_pacs(source, config, ledger, release, log)
    else:
        ledger.see(source.text, indexed_sightings(index_arrivals(source, config)), release)
        settle_s = config.delivery.settle_s
    ledger.settle(source.text, settle_s)


def index_arrivals(source: ImageSource, config: Config) -> Index:
    """Index a folder or bucket; one that holds nothing is no error."""
    try:
        return find_series(source, config)
    except EmptySource:
        return Index(())


def note_pacs(source: PacsSource, config: Config, ledger: Ledger, release: int, log: Log) -> float:
    """Read the feed of a PACS; return the quiet time after which a study is complete."""
    service = source.service
    with Pacs(service) as pacs:
        changes, position = _changes_in(pacs, source.text, ledger, log)
        keys = [(change.study_instance_uid, uid) for change in changes for uid in change.series_instance_uids]
        keys += [key for key in ledger.gone_since_last_look(source.text) if key not in keys and all(map(is_uid, key))]
        keys = without_erased_keys(keys, erased_subjects(config))
        ledger.see(source.text, pacs_sightings(pacs, keys), release, position=position.model_dump(mode="json"))
    return 0.0 if service.config.changes else config.delivery.settle_s


def without_erased_keys(keys: list[tuple[str, str]], erased: Collection[Subject]) -> list[tuple[str, str]]:
    """Return the studies and series that no erasure covers."""
    return [key for key in keys if not any(subject.covers(Target(key[1], key[0])) for subject in erased)]


def _changes_in(pacs: Pacs, source: str, ledger: Ledger, log: Log) -> tuple[list[StudyChange], Position]:
    """Continue polling a PACS, or begin with a new one and report what is left out."""
    position = position_in(ledger, source)
    if position is not None and not since_moved_back(pacs.service, position):
        return read_feed(pacs, position, date.today())
    changes, reached = read_backlog(pacs, date.today())
    if sentence := what_is_left_out(source, reached):
        log.warning(sentence)
    return changes, reached


@contextmanager
def recorded(catalog: str) -> Iterator[Callable[[Round], None]]:
    """Context manager: yields a function that records a round's result; an error is recorded and raised.

    A round that does not start because another process has its turn is no failure and leaves no record.
    """

    def record(one: Round) -> None:
        with suppress(LidcflowError), Rounds(catalog) as rounds:
            rounds.record(replace(one, began=began))

    began = utc_now()
    try:
        yield record
    except WorkspaceBusy:
        raise
    except LidcflowError as error:
        record(Round(error=str(error)))
        raise
    except Exception as error:  # what it says may hold a path or a name
        found = type(error).__name__
        record(Round(error=f"inbox: a round must end without an error, got {found}; look at its log, or report this"))
        raise
