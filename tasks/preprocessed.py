"""Results of preprocessing series. Prefect is not imported here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace

from lidcflow.dicom.records import Series
from lidcflow.errors import LidcflowError, SeriesRefused
from tasks.refusal import refusal_of

Group = list[tuple[Series, str | Exception]]


@dataclass
class Preprocessed:
    """Results for some series.

    Parameters
    ----------
    committed, reused : dict
        Digest of the stored volume for each SeriesInstanceUID: made now, and there already.
    refused : dict
        Why not, for the others.
    verified : dict
        As `reused`, of series whose files had changed: their pixels were read again, and are the same.
    completed : dict
        As `reused`, of series whose volume had no candidates yet: their pixels were read again to find them.
    flagged : dict
        Flags of wrong pixels, for the stored volumes that have any.
    """

    committed: dict[str, str] = field(default_factory=dict)
    refused: dict[str, SeriesRefused] = field(default_factory=dict)
    reused: dict[str, str] = field(default_factory=dict)
    verified: dict[str, str] = field(default_factory=dict)
    completed: dict[str, str] = field(default_factory=dict)
    flagged: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def stored(self) -> dict[str, str]:
        """Digests of all volumes that are in the store now."""
        return {**self.reused, **self.verified, **self.completed, **self.committed}

    @property
    def answered(self) -> int:
        """Series that were worked on and are finished."""
        return len(self.committed) + len(self.refused) + len(self.verified) + len(self.completed)

    def knows(self, series_instance_uid: str) -> bool:
        """Return whether it is known what became of a series."""
        return any(series_instance_uid in known for known in (self.stored, self.refused))

    def add(self, part: Preprocessed) -> None:
        """Take in what became of more series."""
        self.committed.update(part.committed)
        self.refused.update(part.refused)
        self.reused.update(part.reused)
        self.verified.update(part.verified)
        self.completed.update(part.completed)
        self.flagged.update(part.flagged)

    def without(self, uids: Collection[str]) -> Preprocessed:
        """Return the same without some series."""
        kept = {
            one.name: {uid: value for uid, value in getattr(self, one.name).items() if uid not in uids}
            for one in fields(self)
        }
        return Preprocessed(**kept)

    def told_apart(self, earlier: Mapping[str, str], incomplete: Collection[str] = ()) -> Preprocessed:
        """Return the same with what was committed divided into new volumes and those that were stored before.

        Parameters
        ----------
        earlier : mapping of str to str
            Digests of volumes that the store held of the same headers.
        incomplete : collection of str
            Series among them whose files had not changed, and whose volume lacked candidates.
        """
        same = {uid: digest for uid, digest in self.committed.items() if earlier.get(uid) == digest}
        committed = {uid: digest for uid, digest in self.committed.items() if uid not in same}
        verified = {uid: digest for uid, digest in same.items() if uid not in incomplete}
        completed = {uid: digest for uid, digest in same.items() if uid in incomplete}
        return replace(
            self,
            committed=committed,
            verified={**self.verified, **verified},
            completed={**self.completed, **completed},
        )


def sort_out(group: Group) -> tuple[Preprocessed, LidcflowError | None]:
    """Divide a group into stored, set aside, and an error that is everyone's."""
    part, stopping = Preprocessed(), None
    for series, outcome in group:
        uid = series.series_instance_uid
        if not isinstance(outcome, Exception):
            part.committed[uid] = outcome
        elif isinstance(outcome, LidcflowError) and not isinstance(outcome, SeriesRefused):
            stopping = outcome
        else:
            part.refused[uid] = refusal_of(uid, outcome)
    return part, stopping
