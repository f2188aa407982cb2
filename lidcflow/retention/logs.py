"""Keep log files short while their processes write them."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

LIMIT_BYTES = 20_000_000


def shorten_logs(folder: Path, limit_bytes: int = LIMIT_BYTES) -> int:
    """Copy each log that has grown too long to ``NAME.1.log`` and empty it; return how many that were.

    Their processes append, so they go on at the beginning. A line written between the two steps is lost.
    """
    shortened = 0
    for log in folder.glob("*.log"):
        with suppress(OSError):
            if log.stat().st_size > limit_bytes and not log.name.endswith(".1.log"):
                shutil.copyfile(log, log.with_suffix(".1.log"))
                os.truncate(log, 0)  # not renamed: the process that writes the log keeps its file open
                shortened += 1
    return shortened
