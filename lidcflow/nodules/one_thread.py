"""Run NumPy's BLAS in one thread: of several, all but one would wait at the sizes of the networks here."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController


def one_blas_thread() -> AbstractContextManager[object]:
    """Limit BLAS to one thread in the block, for all threads of the process: enter it before any of them starts."""
    limited: AbstractContextManager[object] = _controller().limit(limits=1, user_api="blas")
    return limited


@cache
def _controller() -> ThreadpoolController:
    """Look for the BLAS libraries once in a process: going through all that are loaded takes 15 ms."""
    return ThreadpoolController()
