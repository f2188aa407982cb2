"""Readers' marks in the catalog: the contents of each report's ``feedback.json`` in one table."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from sqlalchemy import String, delete, func, select
from sqlalchemy.orm import Mapped, mapped_column

from lidcflow.catalog.database import Base, Tables, retry_while_unavailable
from lidcflow.dicom.values import LONGEST_UID
from lidcflow.report.marks import Mark


class FeedbackRow(Base):
    """One mark of a reader, see `lidcflow.report.marks.Mark`."""

    __tablename__ = "feedback"

    series_instance_uid: Mapped[str] = mapped_column(String(LONGEST_UID), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    study_instance_uid: Mapped[str | None] = mapped_column(String(LONGEST_UID), index=True)
    time: Mapped[datetime]
    reader: Mapped[str]
    says: Mapped[str]
    first_slice: Mapped[int]
    last_slice: Mapped[int]
    in_range: Mapped[bool]
    undoes: Mapped[int | None]
    release: Mapped[str] = mapped_column(index=True)
    version: Mapped[int]
    verdict: Mapped[str]
    volume_digest: Mapped[str]

    @property
    def mark(self) -> Mark:
        """The same as the file has it."""
        return Mark.model_validate({name: getattr(self, name) for name in Mark.model_fields})


class FeedbackTable(Tables):
    """The table of marks behind a SQLAlchemy URL; parameters and errors as of `lidcflow.catalog.series.Catalog`.

    Examples
    --------
    >>> with FeedbackTable("sqlite://") as table:
    ...     table.marks("lidcflow", 3)
    []
    """

    @retry_while_unavailable
    def replace(self, series_instance_uid: str, study_instance_uid: str | None, marks: Iterable[Mark]) -> None:
        """Write the whole history of a series, as its file has it, in place of what was there."""
        uids = {"series_instance_uid": series_instance_uid, "study_instance_uid": study_instance_uid}
        with self._database.session() as session:
            session.execute(delete(FeedbackRow).where(FeedbackRow.series_instance_uid == series_instance_uid))
            session.add_all(FeedbackRow(**uids, **mark.model_dump()) for mark in marks)

    @retry_while_unavailable
    def owners(self) -> list[tuple[str, str | None, int]]:
        """Return SeriesInstanceUID, StudyInstanceUID and number of marks of each series that has any."""
        columns = FeedbackRow.series_instance_uid, FeedbackRow.study_instance_uid
        query = select(*columns, func.count()).group_by(*columns)
        with self._database.session(reads_only=True) as session:
            return [(series, study, count) for series, study, count in session.execute(query)]

    @retry_while_unavailable
    def delete(self, series_instance_uids: Collection[str], *, only_count: bool = False) -> int:
        """Delete the marks on series, or only count them."""
        wanted = FeedbackRow.series_instance_uid.in_(list(series_instance_uids))
        with self._database.session(reads_only=only_count) as session:
            count = session.scalar(select(func.count()).select_from(FeedbackRow).where(wanted)) or 0
            if not only_count:
                session.execute(delete(FeedbackRow).where(wanted))
        return count

    @retry_while_unavailable
    def marks(self, release: str, version: int) -> Sequence[FeedbackRow]:
        """Return the marks on a release's recommendations, by series, oldest first."""
        query = select(FeedbackRow).where(FeedbackRow.release == release, FeedbackRow.version == version)
        with self._database.session(reads_only=True) as session:
            return list(session.scalars(query.order_by(FeedbackRow.series_instance_uid, FeedbackRow.number)))
