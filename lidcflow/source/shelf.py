"""The files of a source in the order of their paths: a tuple while they are few, else packed and set aside."""

from __future__ import annotations

import marshal
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple, overload

from lidcflow.source.files import SourceFile
from lidcflow.spool import Place, Spool

HELD = 100_000
"""Files that are held as they are: 30 MB."""

BLOCK = 512
"""Files that are packed, and unpacked, together."""

# marshal packs a file in 0.4 µs of CPU time and unpacks it in 0.3, json takes three times as long; what it reads is of
# this process's own writing.


class Block(NamedTuple):
    """Files that lie one after the other in the order of their paths.

    Parameters
    ----------
    first, last : str
        Paths at the ends.
    n_files : int
        Files.
    spool, place
        Where they are set aside.
    """

    first: str
    last: str
    n_files: int
    spool: Spool
    place: Place

    def files(self) -> list[SourceFile]:
        """Return the files."""
        prefix, rows = marshal.loads(self.spool.get(self.place))  # noqa: S302  of this process
        return [SourceFile(prefix + rest, size_bytes, version) for rest, size_bytes, version in rows]


class PackedFiles(Sequence[SourceFile]):
    """Files in the order of their paths, unpacked a block at a time.

    Parameters
    ----------
    blocks : sequence of Block
        In order; no path is in two of them.
    """

    def __init__(self, blocks: Sequence[Block]) -> None:
        self.blocks = tuple(blocks)
        self._ends = list(accumulate(block.n_files for block in self.blocks))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __iter__(self) -> Iterator[SourceFile]:
        for block in self.blocks:
            yield from block.files()

    @overload
    def __getitem__(self, item: int) -> SourceFile: ...
    @overload
    def __getitem__(self, item: slice) -> tuple[SourceFile, ...]: ...
    def __getitem__(self, item: int | slice) -> SourceFile | tuple[SourceFile, ...]:
        if isinstance(item, int):
            return self._at(range(len(self))[item])
        wanted = range(len(self))[item]
        return tuple(self._between(wanted)) if wanted.step == 1 else tuple(self._at(number) for number in wanted)

    def _at(self, number: int) -> SourceFile:
        return self._between(range(number, number + 1))[0]

    def _between(self, wanted: range) -> list[SourceFile]:
        first = bisect_right(self._ends, wanted.start)
        stop = bisect_left(self._ends, wanted.stop) + 1
        before = self._ends[first - 1] if first else 0
        files = [file for block in self.blocks[first:stop] for file in block.files()]
        return files[wanted.start - before : wanted.stop - before]


class Run(NamedTuple):
    """Files of one folder in the order of their paths.

    Parameters
    ----------
    files : list of SourceFile
        At least one.
    apart : bool
        Whether files of other folders may lie between these and the next ones.
    """

    files: list[SourceFile]
    apart: bool


class Shelf:
    """Takes the files of a source as they are listed, and gives them in the order of their paths, each once."""

    def __init__(self) -> None:
        self._held: list[Run] = []
        self._n_held = 0
        self._pending: list[SourceFile] = []
        self._blocks: list[Block] = []
        self._spool = Spool()

    def add(self, files: Iterable[SourceFile], *, apart: bool = False) -> None:
        """Take the files of a folder, or a page of a bucket's; see `Run`."""
        if not (run := Run(sorted(files), apart)).files:
            return
        self._held.append(run)
        self._n_held += len(run.files)
        if self._n_held > HELD or self._blocks:
            self._pack()

    def files(self) -> Sequence[SourceFile]:
        """Return all files; of one path the file that came last."""
        if not (self._blocks or self._pending):
            return in_order(file for run in self._held for file in run.files)
        self._flush()
        return PackedFiles(list(in_sequence(self._blocks, self._spool)))

    def _pack(self) -> None:
        """Fill blocks for as long as paths ascend."""
        for run in self._held:
            if run.apart or (self._pending and self._pending[-1].path >= run.files[0].path):
                self._flush()
            for start in range(0, len(run.files), BLOCK):
                self._pending += run.files[start : start + BLOCK]
                if run.apart or len(self._pending) >= BLOCK:
                    self._flush()
        self._held, self._n_held = [], 0

    def _flush(self) -> None:
        if self._pending:
            self._blocks.append(packed(self._pending, self._spool))
        self._pending = []


def in_order(files: Iterable[SourceFile]) -> tuple[SourceFile, ...]:
    """Return files by path; of one path the file that came last."""
    by_path = {file.path: file for file in files}
    return tuple(by_path[path] for path in sorted(by_path))


def join_files(parts: Sequence[Sequence[SourceFile]]) -> Sequence[SourceFile]:
    """Return the files of several sources by path; of one path that of the last source."""
    if len(parts) == 1:
        return parts[0]
    if sum(map(len, parts)) <= HELD:
        return in_order(file for part in parts for file in part)
    spool = Spool()
    blocks = [block for part in parts for block in _blocks_of(part, spool)]
    return PackedFiles(list(in_sequence(blocks, spool)))


def _blocks_of(files: Sequence[SourceFile], spool: Spool) -> Sequence[Block]:
    if isinstance(files, PackedFiles):
        return files.blocks
    return [packed(files[start : start + BLOCK], spool) for start in range(0, len(files), BLOCK)]


def packed(files: Sequence[SourceFile], spool: Spool) -> Block:
    """Set files aside whose paths ascend."""
    first, last = files[0].path, files[-1].path
    prefix = common_start(first, last)
    rows = [(path[len(prefix) :], size_bytes, version) for path, size_bytes, version in files]
    return Block(first, last, len(files), spool, spool.put(marshal.dumps((prefix, rows))))


def common_start(one: str, other: str) -> str:
    """Return what two texts start with, which all texts between them start with too.

    Examples
    --------
    >>> common_start("/a/10.dcm", "/a/19.dcm")
    '/a/1'
    """
    ends = (n for n, (left, right) in enumerate(zip(one, other, strict=False)) if left != right)
    return one[: next(ends, min(len(one), len(other)))]


def in_sequence(blocks: Iterable[Block], spool: Spool) -> Iterator[Block]:
    """Yield blocks in the order of their paths; those that overlap are unpacked and sorted, which few are."""
    for cluster in _clusters(sorted(enumerate(blocks), key=lambda numbered: numbered[1].first)):
        if len(cluster) == 1:
            yield cluster[0][1]
            continue
        as_listed = sorted(cluster, key=lambda numbered: numbered[0])
        files = in_order(file for _, block in as_listed for file in block.files())
        yield from (packed(files[start : start + BLOCK], spool) for start in range(0, len(files), BLOCK))


def _clusters(blocks: Iterable[tuple[int, Block]]) -> Iterator[list[tuple[int, Block]]]:
    """Yield blocks, with their numbers, that overlap together."""
    cluster: list[tuple[int, Block]] = []
    last = ""
    for number, block in blocks:
        if cluster and block.first > last:
            yield cluster
            cluster = []
        cluster.append((number, block))
        last = max(last, block.last)
    if cluster:
        yield cluster
