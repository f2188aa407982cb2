"""A volume: slabs of a chest from the top, and the source slices of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lidcflow.pixels.noticed import NOTHING, PixelFaults

CHANNELS = ("mean", "max")


class SlabSource(NamedTuple):
    """A source slice in a slab, and its weight there; frames of one instance differ by their number."""

    sop_instance_uid: str
    instance_number: int | None
    z_mm: float
    weight: float
    frame_number: int | None = None


@dataclass(frozen=True)
class Volume:
    """A series on the output grid.

    Parameters
    ----------
    hu : (2, slices, size, size) array of int16
        Channels ``mean`` and ``max``, top of the chest first.
    edges_mm : (slices + 1,) array of float64
        z of the slab edges, descending.
    sources : tuple, one tuple of SlabSource per slab
        The source slices in it; their weights add up to 1.
    flags : tuple of str
        What was tolerated, and what differs from what the configuration asks for, in kebab case.
    lung_z_mm : tuple of 2 floats, optional
        Top and bottom of the lungs, where they were looked for and found.
    noticed : PixelFaults
        What the pixels show to be wrong; `flags` say so too.
    """

    hu: NDArray[np.int16]
    edges_mm: NDArray[np.float64]
    sources: tuple[tuple[SlabSource, ...], ...]
    flags: tuple[str, ...] = ()
    lung_z_mm: tuple[float, float] | None = None
    noticed: PixelFaults = NOTHING
