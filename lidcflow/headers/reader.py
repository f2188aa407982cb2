"""Read the headers of many files: those that are known from the cache, the others by processes; and of a PACS."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import ExitStack
from functools import cache, partial
from typing import Any

from lidcflow.config import Access
from lidcflow.headers.cache import HeaderCache
from lidcflow.headers.from_pacs import SeriesHeaders, read_pacs_headers
from lidcflow.headers.header import Header, Outcome, read_headers
from lidcflow.orphans import end_with_parent
from lidcflow.source.files import PacsSeries, SourceFile

BATCH = 256
POOL_FROM = 2000
"""Files from which processes pay: a spawned one takes about half a second to import, as long as 2,000 headers."""

PORTION = 100_000
"""Files that are looked up before the unknown ones among them are read; a portion at a time is held in memory."""

Batch = Sequence[SourceFile]
Outcomes = Iterator[tuple[Batch, list[Outcome]]]


class HeaderReader:
    """Reader of a source's headers.

    Parameters
    ----------
    secret : bytes
        Key of the patient hash.
    access : Access
        How buckets and PACS are reached.
    workers : int
        Processes that read headers, when there are more than `POOL_FROM` files to read.
    cache : HeaderCache, optional
        What was read before.
    forgets : callable, optional
        Returns whether a header must not be remembered.
    """

    def __init__(
        self,
        secret: bytes,
        *,
        access: Access | None = None,
        workers: int = 1,
        cache: HeaderCache | None = None,
        forgets: Callable[[Header], bool] | None = None,
    ) -> None:
        self.secret = secret
        self.access = access or Access()
        self._workers = workers
        self._cache = cache
        self._forgets = forgets

    def read(self, files: Batch) -> Iterator[tuple[Batch, list[Outcome]]]:
        """Yield batches of files with what each gave: of each portion first the known ones, then the others.

        Raises
        ------
        ResourceError
            If the storage of objects does not answer.
        """
        with ExitStack() as stack:
            started = cache(lambda: stack.enter_context(self._processes()))
            for start in range(0, len(files), PORTION):
                yield from self._read_portion(files[start : start + PORTION], started)

    def _read_portion(self, files: Batch, started: Callable[[], Executor]) -> Outcomes:
        unknown: list[SourceFile] = []
        for batch in _batches(files):
            found = self._cache.known(batch) if self._cache else [None] * len(batch)
            known = [(file, outcome) for file, outcome in zip(batch, found, strict=True) if outcome is not None]
            unknown += [file for file, outcome in zip(batch, found, strict=True) if outcome is None]
            if known:
                yield [file for file, _ in known], [outcome for _, outcome in known]
        for batch, outcomes in self._read_unknown(unknown, started):
            self._remember(batch, outcomes)
            yield batch, outcomes

    def read_series(self, series: Sequence[PacsSeries]) -> Iterator[SeriesHeaders]:
        """Yield what each series of a PACS gives; nothing is remembered, for a PACS corrects what it holds.

        Raises
        ------
        PacsError
            If the PACS does not answer.
        """
        return read_pacs_headers(series, self.secret, self.access)

    def _remember(self, batch: Batch, outcomes: Sequence[Outcome]) -> None:
        if self._cache is None:
            return
        pairs = list(zip(batch, outcomes, strict=True))
        if self._forgets:
            pairs = [(file, made) for file, made in pairs if not (isinstance(made, Header) and self._forgets(made))]
        self._cache.remember([file for file, _ in pairs], [made for _, made in pairs])

    def _read_unknown(self, files: Batch, started: Callable[[], Executor]) -> Outcomes:
        batches = _batches(files)
        read = partial(read_headers, secret=self.secret, access=self.access)
        run: Any = started().map if self._workers > 1 and len(files) > POOL_FROM else map
        yield from zip(batches, run(read, batches), strict=True)

    def _processes(self) -> Executor:
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self._workers, mp_context=context, initializer=end_with_parent)


def _batches(files: Batch) -> list[Batch]:
    return [files[start : start + BATCH] for start in range(0, len(files), BATCH)]
