"""Find the CT series of a folder: headers only, grouped by SeriesInstanceUID, each with its verdict."""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

from lidcflow.config import PreprocessConfig
from lidcflow.ct.headers import Header, Unread, read_headers
from lidcflow.ct.judge import DEFAULT, judge
from lidcflow.ct.records import Acquisition, Index, PixelFormat, Reason, Series, SourceSlice, Verdict
from lidcflow.errors import EmptySource, SourceError

__all__ = [
    "Acquisition",
    "Index",
    "PixelFormat",
    "Reason",
    "Series",
    "SourceSlice",
    "Verdict",
    "index_folder",
]

BATCH = 256
POOL_FROM = 2000
"""Files from which processes pay: a spawned one takes about half a second to import, as long as 2,000 headers."""


def index_folder(
    root: Path,
    *,
    secret: bytes,
    config: PreprocessConfig = DEFAULT,
    on_progress: Callable[[int, int], None] | None = None,
    workers: int = 1,
) -> Index:
    """Find every series under a folder, whatever its layout, and judge each by its headers.

    Parameters
    ----------
    root : Path
        Folder; links to files are followed, links to folders are not.
    secret : bytes
        Key of the patient hash.
    config : PreprocessConfig
        What the series are wanted for: their z range, and what to do with gaps.
    on_progress : callable, optional
        Called with files read and files in all.
    workers : int
        Processes that read headers, when there are more than `POOL_FROM` files.

    Returns
    -------
    Index
        A sequence of `Verdict`, by SeriesInstanceUID.

    Raises
    ------
    SourceError
        If the folder is missing.
    EmptySource
        If it holds no DICOM image.
    """
    paths = _files(root)
    headers, index, torn = _read(paths, secret, workers, on_progress)
    if not headers:
        raise EmptySource(
            f"source {root}: must hold DICOM images, got {index.not_dicom} other files and "
            f"{index.unreadable} unreadable ones; name the folder that holds the series"
        )
    return replace(index, verdicts=tuple(_judge_all(headers, torn, secret, config)))


def _files(root: Path) -> list[str]:
    if not root.is_dir():
        found = "a file" if root.exists() else "nothing"
        raise SourceError(f"source {root}: must be a folder, got {found}; check the path")
    paths = sorted(_walk(str(root)))
    if not paths:
        raise EmptySource(f"source {root}: must hold DICOM images, got an empty folder; check the path")
    return paths


def _walk(root: str) -> Iterator[str]:
    """Yield regular files: opening a pipe would wait for ever, and linked folders can form a loop."""
    folders = [root]
    while folders:
        try:
            entries = list(os.scandir(folders.pop()))
        except OSError:
            continue
        folders += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        yield from (entry.path for entry in entries if entry.is_file())


def _read(
    paths: list[str], secret: bytes, workers: int, on_progress: Callable[[int, int], None] | None
) -> tuple[list[Header], Index, set[str]]:
    """Read all headers, count the other files, and name the folders with unreadable ones."""
    headers: list[Header] = []
    unread: Counter[Unread] = Counter()
    torn: set[str] = set()
    done = 0
    for batch in _read_batches(paths, secret, workers):
        headers += [header for header in batch if isinstance(header, Header)]
        unread.update(header for header in batch if isinstance(header, Unread))
        torn.update(
            str(Path(path).parent)
            for path, header in zip(paths[done:], batch, strict=False)
            if header is Unread.UNREADABLE
        )
        done += len(batch)
        if on_progress:
            on_progress(done, len(paths))
    return headers, Index((), unread[Unread.NOT_DICOM], unread[Unread.UNREADABLE]), torn


def _read_batches(paths: list[str], secret: bytes, workers: int) -> Iterator[list[Header | Unread]]:
    batches = [paths[start : start + BATCH] for start in range(0, len(paths), BATCH)]
    read = partial(read_headers, secret=secret)
    if workers == 1 or len(paths) <= POOL_FROM:
        yield from map(read, batches)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(batches)), mp_context=context) as pool:
        yield from pool.map(read, batches)


def _judge_all(headers: Iterable[Header], torn: set[str], secret: bytes, config: PreprocessConfig) -> Iterator[Verdict]:
    series: defaultdict[str, list[Header]] = defaultdict(list)
    for header in headers:
        series[header.facts.series_instance_uid].append(header)
    for uid in sorted(series):
        verdict = judge(series[uid], secret=secret, config=config)
        beside = torn and any(str(Path(header.path).parent) in torn for header in series[uid])
        yield _flagged(verdict, "unreadable-files-beside") if beside else verdict


def _flagged(verdict: Verdict, flag: str) -> Verdict:
    """Add a flag to a verdict and its series: an unreadable file may be a slice that is lacking at an end."""
    flags = (*verdict.flags, flag)
    series = verdict.series and replace(verdict.series, flags=flags)
    return replace(verdict, flags=flags, series=series)
