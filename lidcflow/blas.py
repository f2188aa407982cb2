"""Threads of the BLAS that NumPy multiplies matrices with."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any

import numpy as np  # noqa: F401, its BLAS must be loaded when the libraries are looked for
from threadpoolctl import ThreadpoolController


def one_blas_thread() -> AbstractContextManager[Any]:
    """Keep NumPy's BLAS to one thread in the block, for all threads of the process: enter it before any of them starts.

    The matrices of networks here are small: of several threads all but one wait, 2.6 ms of CPU time a patch, not 1.0.
    """
    limit: AbstractContextManager[Any] = _libraries().limit(limits=1, user_api="blas")
    return limit


@cache
def _libraries() -> ThreadpoolController:
    """Find the libraries of this process, once: the search takes 3 to 15 ms, and each view of a finding needs them."""
    return ThreadpoolController()
