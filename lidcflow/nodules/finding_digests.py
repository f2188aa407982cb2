"""Digests of the systems that say what findings are, known without loading what applies their weights."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path

from lidcflow.errors import WeightsError

WEIGHTS = Path(__file__).parent / "weights"

SYSTEMS = ("segmenter", "malignancy")


@cache
def finding_digests() -> dict[str, str]:
    """Return the SHA-256 of the weights of each system that ships with the package, for a release to pin.

    Raises
    ------
    WeightsError
        If the files of one are missing, or its weights are not those that its card speaks of.
    """
    return {name: _digest(name) for name in SYSTEMS}


def _digest(name: str) -> str:
    try:
        digest = hashlib.sha256((WEIGHTS / f"{name}.npz").read_bytes()).hexdigest()
        spoken_of = str(json.loads((WEIGHTS / f"{name}.json").read_text("utf-8"))["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        digest, spoken_of = "", "none"
    if digest != spoken_of:
        raise WeightsError(
            f"{name} model: must be {name}.npz with its card {name}.json, got weights of digest "
            f"{digest[:12] or 'none'} and a card of {spoken_of[:12]}; install lidcflow again"
        )
    return digest
