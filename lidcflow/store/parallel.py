"""Read many items in parallel and in order, a limited number ahead of their consumer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple, TypeVar

Item = TypeVar("Item")
Found = TypeVar("Found")


class AtOnce(NamedTuple):
    """Best way to read a place.

    Parameters
    ----------
    readers : int
        Threads.
    page : int
        Items that a thread takes at a time: handing over a job costs about as much as a small file in the page cache.
    """

    readers: int
    page: int = 1


AHEAD = 2
"""Pages for each reader that are done or under way: what is read and not yet used is held in memory."""


def side_by_side(read: Callable[[Item], Found], items: Iterable[Item], at_once: AtOnce) -> Iterator[Found]:
    """Apply a function to items in several threads, and yield what it returns in the items' order.

    Parameters
    ----------
    read : callable
        Of one item; what it raises is raised in its place.
    items : iterable
        Taken as they are needed, never all at once.
    at_once : AtOnce
        How many.

    Examples
    --------
    >>> list(side_by_side(abs, [-1, 2, -3], AtOnce(readers=2)))
    [1, 2, 3]
    """
    left = iter(items)
    pages = iter(lambda: list(islice(left, at_once.page)), [])
    with ThreadPoolExecutor(at_once.readers) as pool:
        begun: deque[Future[list[Found]]] = deque()
        try:
            for page in islice(pages, AHEAD * at_once.readers):
                begun.append(pool.submit(_read_page, read, page))
            while begun:
                yield from begun.popleft().result()
                for page in islice(pages, 1):
                    begun.append(pool.submit(_read_page, read, page))
        finally:
            pool.shutdown(cancel_futures=True)


def _read_page(read: Callable[[Item], Found], page: Iterable[Item]) -> list[Found]:
    return [read(item) for item in page]
