"""Apply a function to items in several threads, where a process has cores to spare.

Only for functions that spend their time in NumPy, SciPy or Pillow, which release Python's global lock. Results do not
depend on the number of threads: each item is computed by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_count: ContextVar[int] = ContextVar("threads", default=1)
"""Threads that the block may use; one in the threads themselves, so that nested calls start none."""


@contextmanager
def use_threads(count: int) -> Iterator[None]:
    """Allow `map_in_threads` several threads in the block.

    Parameters
    ----------
    count : int
        Threads, at least 1.
    """
    before = _count.set(count)
    try:
        yield
    finally:
        _count.reset(before)


def map_in_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Apply a function to items, in the threads that `use_threads` allows: one unless it was called.

    Parameters
    ----------
    function : callable
        Of one item.
    items : iterable
        What it is applied to.

    Returns
    -------
    list
        The results, in the order of the items.

    Examples
    --------
    >>> with use_threads(2):
    ...     map_in_threads(abs, [-1, 2, -3])
    [1, 2, 3]
    """
    if _count.get() < 2:
        return [function(item) for item in items]  # one item at a time is in memory where they are made one by one
    items = list(items)
    if len(items) < 2:  # it may use the threads itself
        return [function(item) for item in items]
    with ThreadPoolExecutor(min(_count.get(), len(items)), thread_name_prefix="compute") as pool:
        return list(pool.map(function, items))
