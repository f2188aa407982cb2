"""Preprocess series on the cluster: each is reduced and committed by one worker process."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial

from prefect import task
from prefect.cache_policies import NO_CACHE

from lidcflow.config import ClusterConfig
from lidcflow.errors import LidcflowError, SeriesRefused
from lidcflow.series.find import Series
from lidcflow.store.address import StoreAddress
from tasks.candidates import preprocess_with_candidates
from tasks.cluster.open import map_groups
from tasks.publish import emit_series_event
from tasks.refusal import refusal_of
from tasks.worker import preprocess_series

Group = list[tuple[Series, str | Exception]]


@dataclass
class Preprocessed:
    """What became of some series.

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


def preprocessing(
    series: Iterable[Series], address: str, store: StoreAddress, config: ClusterConfig
) -> Generator[Group, None, None]:
    """Start to preprocess series on the Dask cluster and yield those that are finished, group by group."""
    bring = preprocess_with_candidates if store.candidates else preprocess_series
    work = partial(bring, store_root=store.root, config=store.preprocess, access=store.access)
    return map_groups(address, work, series, window=config.window, within_s=config.series_within_s)


@task(name="preprocess-batch", task_run_name="series {first} to {last}", cache_policy=NO_CACHE)
def preprocess_batch(finished: Iterator[Group], first: int, last: int, record: Callable[[Preprocessed], None]) -> None:
    """Follow the cluster from the first to the last series of a batch, in the order in which they are finished.

    The cluster is fed across batches, so that none waits for the slowest series of the one before. There is
    nothing to retry: each series commits by itself, and is run again when its worker dies.
    """
    drain(finished, record, enough=last - first + 1)


def drain(finished: Iterable[Group], record: Callable[[Preprocessed], None], *, enough: int | None = None) -> None:
    """Record what became of series as they are finished, and tell Prefect of each.

    Parameters
    ----------
    finished : iterable of groups
        From `preprocessing`.
    record : callable
        Takes each group, also the one that ends with an error for all.
    enough : int, optional
        Stop once so many series are finished; what is left in `finished` is for the next one.

    Raises
    ------
    LidcflowError
        What stops all series, not one: a store of another configuration, a full disk.
    """
    answered = 0
    for group in finished:
        part, stopping = _sort_out(group)
        record(part)
        _tell(part)
        if stopping:
            raise stopping
        answered += part.answered
        if enough is not None and answered >= enough:
            return


def _sort_out(group: Group) -> tuple[Preprocessed, LidcflowError | None]:
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


def _tell(part: Preprocessed) -> None:
    for uid, digest in part.committed.items():
        emit_series_event("committed", uid, volume_digest=digest)
    for uid, refusal in part.refused.items():
        emit_series_event("refused", uid, reason=refusal.reason, sentence=refusal.sentence)
