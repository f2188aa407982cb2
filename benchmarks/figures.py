"""Figures that a benchmark hands to `make bench`; run by itself, a benchmark only prints."""

from __future__ import annotations

import json
import os
from pathlib import Path

FILE = "FIGURES_OF_LIDCFLOW"
"""Environment variable that names the file to append to."""


def record_ratio(name: str, value: float, *, lower_is_better: bool = False) -> None:
    """Append a ratio to the file of this run, if one is wanted.

    Parameters
    ----------
    name : str
        What is compared with what, as the table has it.
    value : float
        Ratio of two measurements of this run: those of two runs differ by the load of the machine.
    lower_is_better : bool
        Whether a larger ratio is worse.
    """
    if file := os.environ.get(FILE):
        with Path(file).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"name": name, "value": value, "lower_is_better": lower_is_better}) + "\n")
