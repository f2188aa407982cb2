"""The table of candidates: its columns, and which of them their score is made of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lidcflow.nodules.finding import Channel

SCHEMA = 2
"""Schema of candidates that are stored today: with cubes."""

READABLE = (1, SCHEMA)
"""Schemas that are read; table and patches are the same in both."""

TABLE_SCHEMA = 1
"""Schema of table and patches, which trainings are made of: cubes change nothing of those."""

CHANNELS: tuple[Channel, ...] = ("solid", "ground-glass", "mass")
"""Channels by their number in the column ``channel``."""

SOLID, GROUND_GLASS, MASS = range(len(CHANNELS))

RAW_FEATURES = ("contrast_hu", "shell_air", "near_air", "roundness", "attached", "one_sided")
"""Measured twice: with air outside of the lungs, and as it is."""

FEATURES = (
    *("sigma_mm", "laplacian", "dot", "sphericity", "flatness"),
    *("inside_hu", "edge_hu", "spread_hu", "contrast_hu", "shell_air", "near_air"),
    *("reach", "roundness", "attached", "one_sided", "elongation", "lung_share"),
    *(f"raw_{name}" for name in RAW_FEATURES),
)
"""Columns that a score is made of, beside whether the channel is that of ground glass."""

CANDIDATE = np.dtype(
    [
        *((name, "<f4") for name in ("z_mm", "row", "column")),
        ("source", "<i4"),
        ("slice", "<i4"),
        ("channel", "<i4"),
        *((name, "<f4") for name in ("diameter_mm", "score", *FEATURES)),
    ]
)
"""A row of the table of candidates; docs/nodules.md describes its columns."""


def feature_matrix(table: NDArray[np.void]) -> NDArray[np.float32]:
    """Return the (n, features) numbers that a score is made of: `FEATURES`, and 1 for ground glass."""
    columns = [*(table[name] for name in FEATURES), (table["channel"] == GROUND_GLASS).astype(np.float32)]
    return np.stack(columns, axis=1) if len(table) else np.empty((0, len(columns)), np.float32)
