"""The catalog: what is known of each series, in SQLite or PostgreSQL; only the flow's own process writes it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import String, delete, func, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from lidcflow.catalog.database import Base, Tables, retry_while_unavailable, utc_now
from lidcflow.dicom.records import VerdictReason
from lidcflow.dicom.values import LONGEST_UID
from lidcflow.errors import SeriesRefused

if TYPE_CHECKING:
    from lidcflow.series.verdicts import Verdict
    from lidcflow.store.record import VolumeRecord

Values = TypeVar("Values")

_WITHOUT_ROW = (VerdictReason.ERASED, VerdictReason.SYNTHETIC_AND_REAL)
_ROWS_PER_QUERY = 500
_ROWS_PER_PAGE = 10_000


class State(StrEnum):
    """Processing state of a series."""

    REFUSED = "refused"
    PASSED_OVER = "passed-over"
    USABLE = "usable"
    COMMITTED = "committed"
    FAILED = "failed"


class SeriesRow(Base):
    """One series: the verdict of the index, and what became of it."""

    __tablename__ = "series"

    series_instance_uid: Mapped[str] = mapped_column(String(LONGEST_UID), primary_key=True)
    study_instance_uid: Mapped[str | None] = mapped_column(String(LONGEST_UID), index=True)
    patient_key: Mapped[str | None] = mapped_column(index=True)
    state: Mapped[str] = mapped_column(index=True)
    reason: Mapped[str]
    sentence: Mapped[str]
    n_files: Mapped[int]
    n_slices: Mapped[int | None]
    set_aside: Mapped[int]
    flags: Mapped[list[str]]
    synthetic: Mapped[bool | None]
    volume_digest: Mapped[str | None]
    config_digest: Mapped[str | None]
    updated: Mapped[datetime] = mapped_column(default=utc_now, onupdate=utc_now)


class SharedSeriesRow(Base):
    """One of several patients whose files carry the same SeriesInstanceUID."""

    __tablename__ = "shared_series"

    series_instance_uid: Mapped[str] = mapped_column(String(LONGEST_UID), primary_key=True)
    patient_key: Mapped[str] = mapped_column(primary_key=True)


class Catalog(Tables):
    """The table of series behind a SQLAlchemy URL; made on first use.

    Parameters
    ----------
    url : str
        Such as ``sqlite:///catalog.db`` or ``postgresql+pg8000://user@host/lidcflow``.

    Raises
    ------
    StoreError
        If the database can't be opened, or a later version of lidcflow made it.

    Examples
    --------
    >>> with Catalog("sqlite://") as catalog:
    ...     catalog.counts()
    {}
    """

    @retry_while_unavailable
    def record_verdicts(self, verdicts: Iterable[Verdict]) -> None:
        """Write the verdicts of an index; a committed series that is still usable stays committed.

        Erased series have a tombstone and no row; a row that is still there is deleted.
        A row of synthetic images stays as it is when real ones with its UID are refused, and the other way round.
        """
        told = list(verdicts)
        erased = [verdict.series_instance_uid for verdict in told if verdict.reason == VerdictReason.ERASED]
        kept = {verdict.series_instance_uid: verdict for verdict in told if verdict.reason not in _WITHOUT_ROW}
        with self._database.session() as session:
            _delete(session, erased)
            _forget_shared(session, list(kept))
            for row, verdict in _matched(session, kept):
                values = _of_verdict(verdict)
                if row.state == State.COMMITTED and values["state"] == State.USABLE:
                    del values["state"]
                _assign(row, values)
                session.add_all(_shared(verdict))

    @retry_while_unavailable
    def record_committed(self, volume_digests: Mapping[str, str], config_digest: str) -> None:
        """Mark series as committed to the store.

        Parameters
        ----------
        volume_digests : mapping
            Digest of the stored volume for each SeriesInstanceUID; the series have a verdict already.
        config_digest : str
            Of the preprocessing they were made with.
        """
        committed = {"state": State.COMMITTED, "config_digest": config_digest}
        self._update({uid: {**committed, "volume_digest": digest} for uid, digest in volume_digests.items()})

    @retry_while_unavailable
    def add_flags(self, flags: Mapping[str, Collection[str]]) -> None:
        """Add flags of volumes to those of the verdicts on their series."""
        with self._database.session() as session:
            for row in _rows_of_all(session, list(flags)):
                row.flags = sorted({*row.flags, *flags[row.series_instance_uid]})

    @retry_while_unavailable
    def record_failed(self, refusals: Mapping[str, SeriesRefused]) -> None:
        """Mark usable series that could not be preprocessed, each with its reason and sentence."""
        self._update(
            {
                uid: {"state": State.FAILED, "reason": refusal.reason, "sentence": refusal.sentence}
                for uid, refusal in refusals.items()
            }
        )

    @retry_while_unavailable
    def record_removed(self, series_instance_uids: Collection[str]) -> None:
        """Mark committed series as usable: their volumes were deleted, and can be made again from the source.

        The time of the row stays, by which a clean-up that was killed finds the volumes that it has not deleted yet.
        """
        uids = list(series_instance_uids)
        removed = {"state": State.USABLE, "volume_digest": None, "updated": SeriesRow.updated}
        with self._database.session() as session:
            for start in range(0, len(uids), _ROWS_PER_QUERY):
                chunk = SeriesRow.series_instance_uid.in_(uids[start : start + _ROWS_PER_QUERY])
                session.execute(update(SeriesRow).where(chunk, SeriesRow.state == State.COMMITTED).values(removed))

    @retry_while_unavailable
    def rows(self, state: State | None = None) -> list[SeriesRow]:
        """Return the series, or those in one state, in the order of their UIDs."""
        query = select(SeriesRow).order_by(SeriesRow.series_instance_uid)
        with self._database.session(reads_only=True) as session:
            return list(session.scalars(query if state is None else query.where(SeriesRow.state == state)))

    @retry_while_unavailable
    def synthetic(self, series_instance_uids: Sequence[str]) -> dict[str, bool]:
        """Return whether the images of each stored volume are synthetic, by UID; series without one are left out."""
        found: dict[str, bool] = {}
        query = select(SeriesRow.series_instance_uid, SeriesRow.synthetic).where(SeriesRow.state == State.COMMITTED)
        with self._database.session(reads_only=True) as session:
            for start in range(0, len(series_instance_uids), _ROWS_PER_QUERY):
                chunk = SeriesRow.series_instance_uid.in_(series_instance_uids[start : start + _ROWS_PER_QUERY])
                known = session.execute(query.where(chunk, SeriesRow.synthetic.is_not(None))).tuples()
                found |= {uid: bool(synthetic) for uid, synthetic in known}
        return found

    def owners(self) -> Iterator[tuple[str, str | None, str | None]]:
        """Yield SeriesInstanceUID, StudyInstanceUID and patient key of each series, a page at a time.

        A series that several patients share comes once for each of them.
        """
        query = select(SeriesRow.series_instance_uid, SeriesRow.study_instance_uid, SeriesRow.patient_key)
        with self._database.session(reads_only=True) as session:
            yield from session.execute(query.execution_options(yield_per=_ROWS_PER_PAGE)).tuples()
            for row in session.scalars(select(SharedSeriesRow)):
                yield row.series_instance_uid, None, row.patient_key

    @retry_while_unavailable
    def delete(self, series_instance_uids: Collection[str], *, only_count: bool = False) -> int:
        """Delete the rows of series, or only count them; return how many there were."""
        with self._database.session(reads_only=only_count) as session:
            return _delete(session, list(series_instance_uids), only_count=only_count)

    @retry_while_unavailable
    def counts(self) -> dict[State, int]:
        """Count the series in each state that occurs."""
        query = select(SeriesRow.state, func.count()).group_by(SeriesRow.state).order_by(SeriesRow.state)
        with self._database.session(reads_only=True) as session:
            return {State(state): count for state, count in session.execute(query)}

    @retry_while_unavailable
    def rebuild_from(self, records: Iterable[VolumeRecord], as_of: datetime) -> int:
        """Write every stored volume into the catalog, and take back what claims to be stored and is not.

        Series that are refused or passed over stay so: their volumes are of an earlier state of the source.

        Parameters
        ----------
        records : iterable of VolumeRecord
            Of all stores that the catalog tells of.
        as_of : datetime
            When reading the stores began; what a flow has written since is newer and stays.

        Returns
        -------
        int
            Volumes that are in the catalog now and were not, and those that were and are not any more.
        """
        stored = {record.series_instance_uid: record for record in records}
        changed = 0
        with self._database.session() as session:
            for row in session.scalars(select(SeriesRow).where(SeriesRow.state == State.COMMITTED)):
                if row.series_instance_uid not in stored and row.updated <= as_of:
                    _assign(row, {"state": State.USABLE, "volume_digest": None})
                    changed += 1
            for row, record in _matched(session, stored):
                if row.state is None or (row.state not in (State.REFUSED, State.PASSED_OVER) and row.updated <= as_of):
                    changed += row.volume_digest != record.volume_digest or row.state != State.COMMITTED
                    _assign(row, _of_record(record, row))
        return changed

    def _update(self, values_of: Mapping[str, dict[str, Any]]) -> None:
        """Change rows that are there; a series without a verdict is a mistake of the caller."""
        with self._database.session() as session:
            for row, values in _matched(session, values_of):
                if row.state is None:
                    raise ValueError(f"series {row.series_instance_uid}: must have a verdict in the catalog, got none")
                _assign(row, values)


def _matched(session: Session, values_of: Mapping[str, Values]) -> Iterator[tuple[SeriesRow, Values]]:
    """Pair each row, fresh where there is none yet, with what it is to get its values from."""
    uids = list(values_of)
    for start in range(0, len(uids), _ROWS_PER_QUERY):
        chunk = uids[start : start + _ROWS_PER_QUERY]
        known = _rows_of(session, chunk)
        for uid in chunk:
            row = known.get(uid) or SeriesRow(series_instance_uid=uid)
            yield row, values_of[uid]
            session.add(row)


def _rows_of(session: Session, uids: Sequence[str]) -> dict[str, SeriesRow]:
    query = select(SeriesRow).where(SeriesRow.series_instance_uid.in_(uids))
    return {row.series_instance_uid: row for row in session.scalars(query)}


def _rows_of_all(session: Session, uids: Sequence[str]) -> Iterator[SeriesRow]:
    for start in range(0, len(uids), _ROWS_PER_QUERY):
        yield from _rows_of(session, uids[start : start + _ROWS_PER_QUERY]).values()


def _assign(row: SeriesRow, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        setattr(row, name, value)


def _delete(session: Session, uids: Sequence[str], *, only_count: bool = False) -> int:
    count = 0
    for start in range(0, len(uids), _ROWS_PER_QUERY):
        chunk = uids[start : start + _ROWS_PER_QUERY]
        known = _rows_of(session, chunk)
        count += len(known)
        for row in [] if only_count else known.values():
            session.delete(row)
    if not only_count:
        _forget_shared(session, uids)
    return count


def _forget_shared(session: Session, uids: Sequence[str]) -> None:
    """Forget which patients share series; a statement for each series would also write each row by itself."""
    for start in range(0, len(uids), _ROWS_PER_QUERY):
        chunk = SharedSeriesRow.series_instance_uid.in_(uids[start : start + _ROWS_PER_QUERY])
        session.execute(delete(SharedSeriesRow).where(chunk))


def _shared(verdict: Verdict) -> list[SharedSeriesRow]:
    """Return the patients of a series that more than one shares: an erasure of any of them deletes its row."""
    keys = verdict.patients if len(verdict.patients) > 1 else ()
    return [SharedSeriesRow(series_instance_uid=verdict.series_instance_uid, patient_key=key) for key in keys]


def _state_of(verdict: Verdict) -> State:
    if verdict.usable:
        return State.USABLE
    return State.PASSED_OVER if verdict.passed_over else State.REFUSED


def _of_verdict(verdict: Verdict) -> dict[str, Any]:
    values: dict[str, Any] = {
        "state": _state_of(verdict),
        "reason": str(verdict.reason),
        "sentence": verdict.sentence,
        "n_files": verdict.n_files,
        "set_aside": verdict.set_aside,
        "flags": list(verdict.flags),
    }
    if verdict.patients:
        values["patient_key"] = verdict.patients[0]
    if study := verdict.study_instance_uid or next(iter(verdict.studies), None):
        values["study_instance_uid"] = study
    if series := verdict.series:
        values["study_instance_uid"] = series.study_instance_uid
        values["patient_key"] = series.patient_key
        values["n_slices"] = len(series.slices)
        values["synthetic"] = series.synthetic
    return values


def _of_record(record: VolumeRecord, row: SeriesRow) -> dict[str, Any]:
    """Return the columns of a volume; those that only the index knows keep their former values."""
    values = {
        "study_instance_uid": record.study_instance_uid,
        "patient_key": record.patient_key,
        "state": State.COMMITTED,
        "n_slices": record.n_source_slices,
        "flags": list(record.flags),
        "synthetic": record.synthetic,
        "volume_digest": record.volume_digest,
        "config_digest": record.config_digest,
    }
    if row.state in (None, State.FAILED):
        values |= {"reason": "usable", "sentence": "rebuilt from the store"}
    if row.state is None:
        values |= {"n_files": record.n_source_slices, "set_aside": 0}
    return values
