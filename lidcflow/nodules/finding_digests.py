"""Digests of the systems that say what findings are, known without loading what applies their weights."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from lidcflow.nodules.weight_files import MALIGNANCY, SEGMENTER

WEIGHTS = Path(__file__).parent / "weights"

SYSTEMS = (SEGMENTER, MALIGNANCY)


@cache
def finding_digests() -> dict[str, str]:
    """Return the SHA-256 of the weights of each system that ships with the package, for a release to pin.

    Raises
    ------
    WeightsError
        If the files of one are missing, or its weights are not those that its card speaks of.
    """
    return {files.stem: files.read(WEIGHTS, lambda _content, _card, digest: digest) for files in SYSTEMS}
