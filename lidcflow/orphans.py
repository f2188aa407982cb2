"""End the workers of a process pool together with the process that started them, even if it is killed."""

from __future__ import annotations

import multiprocessing
import os
from threading import Thread


def end_with_parent() -> None:
    """Initialize a pool's worker: it ends as soon as its parent is gone, where it would wait for work for ever."""
    if parent := multiprocessing.parent_process():
        Thread(target=_outlive, args=(parent,), daemon=True).start()


def _outlive(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)  # sys.exit would end this thread alone
