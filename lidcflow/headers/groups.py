"""The headers of a source by series: held while they are few, else packed, set aside, and read back by series."""

from __future__ import annotations

import marshal
from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import partial
from operator import attrgetter
from typing import Any

from lidcflow.dicom.facts import Facts
from lidcflow.headers.cache import decoder, encoded
from lidcflow.headers.header import Header
from lidcflow.spool import Place, Spool

HELD = 100_000
"""Headers that are held as they are: 60 MB."""

_NAMES = [field.name for field in fields(Header)]
_FACTS, _FRAMES = _NAMES.index("facts"), _NAMES.index("frames")
_values_of = attrgetter(*_NAMES)
_decode_facts = decoder(Facts)


class HeaderGroups:
    """Takes headers in any order, and gives them by SeriesInstanceUID, in the order in which they came.

    A source may hold the files of a series anywhere, so that only its last file completes its last series.
    """

    def __init__(self) -> None:
        self._held: defaultdict[str, list[Header]] = defaultdict(list)
        self._n_held = 0
        self._aside: defaultdict[str, array[int]] = defaultdict(partial(array, "q"))
        self._spool = Spool()

    def add(self, headers: Sequence[Header]) -> None:
        """Take headers.

        Raises
        ------
        ResourceError
            If the disk is full.
        """
        for header in headers:
            self._held[header.facts.series_instance_uid].append(header)
        self._n_held += len(headers)
        if self._n_held > HELD:
            self._set_aside()

    def __bool__(self) -> bool:
        return bool(self._held or self._aside)

    def __iter__(self) -> Iterator[tuple[str, list[Header]]]:
        """Yield each series with its headers, by SeriesInstanceUID."""
        for uid in sorted({*self._held, *self._aside}):
            yield uid, self._headers(uid)

    def _headers(self, uid: str) -> list[Header]:
        known: dict[Facts, Facts] = {}
        aside = self._aside.get(uid, array("q"))
        places = map(Place, aside[::2], aside[1::2])
        parts = [unpacked(self._spool.get(place), known) for place in places]
        return [header for part in (*parts, self._held.get(uid, ())) for header in part]

    def _set_aside(self) -> None:
        for uid, headers in self._held.items():
            self._aside[uid].extend(self._spool.put(packed(headers)))
        self._held.clear()
        self._n_held = 0


# Headers are packed by marshal, as in `lidcflow.source.shelf`. Facts are written once for all headers that share them.


def packed(headers: Sequence[Header]) -> bytes:
    """Pack headers of one series."""
    numbers: dict[int, int] = {}
    distinct: list[Facts] = []
    rows = [_row(header, numbers, distinct) for header in headers]
    return marshal.dumps(([encoded(facts) for facts in distinct], rows))


def unpacked(content: bytes, known: dict[Facts, Facts]) -> list[Header]:
    """Unpack headers.

    Parameters
    ----------
    content : bytes
        From `packed`.
    known : dict
        Facts of the series so far, which its headers share.
    """
    packed_facts, rows = marshal.loads(content)  # noqa: S302  of this process
    read = [_decode_facts(one) for one in packed_facts]
    shared = [known.setdefault(facts, facts) for facts in read]
    return [_header(row, shared) for row in rows]


def _row(header: Header, numbers: dict[int, int], distinct: list[Facts]) -> list[Any]:
    row = list(_values_of(header))
    facts = header.facts
    if id(facts) not in numbers:
        numbers[id(facts)] = len(distinct)
        distinct.append(facts)
    row[_FACTS] = numbers[id(facts)]
    if header.frames:
        row[_FRAMES] = [_row(frame, numbers, distinct) for frame in header.frames]
    return row


def _header(row: list[Any], facts: Sequence[Facts]) -> Header:
    row[_FACTS] = facts[row[_FACTS]]
    if row[_FRAMES]:
        row[_FRAMES] = tuple(_header(frame, facts) for frame in row[_FRAMES])
    return Header(*row)
