"""Preprocess series on the cluster: each is reduced and committed by one worker process."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from lidcflow.config import Config
from lidcflow.ct.series import Series
from lidcflow.errors import LidcflowError, SeriesRefused
from tasks.cluster import map_series
from tasks.publish import emit_series_event
from tasks.retries import is_worth_a_retry
from tasks.worker import preprocess_series


@dataclass
class Preprocessed:
    """What became of some series.

    Parameters
    ----------
    committed, reused : dict
        Digest of the stored volume for each SeriesInstanceUID: made now, and there already.
    refused : dict
        Why not, for the others.
    """

    committed: dict[str, str] = field(default_factory=dict)
    refused: dict[str, SeriesRefused] = field(default_factory=dict)
    reused: dict[str, str] = field(default_factory=dict)

    @property
    def stored(self) -> dict[str, str]:
        """Digests of all volumes that are in the store now."""
        return {**self.reused, **self.committed}


@task(
    name="preprocess-batch",
    retries=2,
    retry_delay_seconds=[5, 30],
    retry_condition_fn=is_worth_a_retry,
    cache_policy=NO_CACHE,
)
def preprocess_batch(
    batch: list[Series], address: str, config: Config, on_series: Callable[[], None] = lambda: None
) -> Preprocessed:
    """Preprocess a batch of series on the Dask cluster; each commits its own group, so a retry finds it done."""
    work = partial(
        preprocess_series,
        store_root=str(config.store_path.absolute()),
        config=config.preprocess,
        access=config.access,
    )
    return drain(map_series(address, work, batch, window=config.cluster.window), on_series)


def drain(
    outcomes: Iterable[tuple[Series, str | Exception]], on_series: Callable[[], None] = lambda: None
) -> Preprocessed:
    """Collect what became of each series and tell Prefect of it.

    Raises
    ------
    LidcflowError
        What stops all series, not one: a store of another configuration, a full disk.
    """
    preprocessed = Preprocessed()
    for series, outcome in outcomes:
        uid = series.series_instance_uid
        if isinstance(outcome, Exception):
            preprocessed.refused[uid] = refusal = _refusal(uid, outcome)
            emit_series_event("refused", uid, reason=refusal.reason, sentence=refusal.sentence)
        else:
            preprocessed.committed[uid] = outcome
            emit_series_event("committed", uid, volume_digest=outcome)
        on_series()
    return preprocessed


def _refusal(uid: str, error: Exception) -> SeriesRefused:
    """Set one series aside for its error, unless the error is everyone's."""
    if isinstance(error, SeriesRefused):
        return error
    if isinstance(error, LidcflowError):
        raise error
    return SeriesRefused(
        "failed",
        f"series {uid}: must be preprocessed without an error, got {type(error).__name__} in {_place(error)}; "
        "look at its files, or report this with the type and the place",
    )


def _place(error: Exception) -> str:
    """Name the file and line that raised; the message is left out, for it may hold a path or a name."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "a worker"
