"""The practice set of the compact backbone: made-up chests, written once by several processes."""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lidcflow.orphans import end_with_parent
from lidcflow.phantom import procedural

SLICES, SIZE = 65, 128


@dataclass(frozen=True)
class PretrainingSet:
    """Made-up volumes, mapped from disk.

    Attributes
    ----------
    hu : (volumes, 65, 2, 128, 128) array of int16
        Channels ``mean`` and ``max`` in HU.
    labels : (volumes, 65) array of uint8
        Classes 0 to 2.
    masks : (volumes, 65, 128, 128) array of uint8
        Class of each pixel.
    """

    hu: NDArray[np.int16]
    labels: NDArray[np.uint8]
    masks: NDArray[np.uint8]


def make_pretraining_set(
    folder: Path,
    seeds: Sequence[int],
    *,
    nodules: float = procedural.NODULES,
    processes: int = 1,
    on_progress: Callable[[int, int], None] | None = None,
) -> PretrainingSet:
    """Make volumes and keep them on disk: 5.3 MB each.

    Parameters
    ----------
    folder : Path
        Where the arrays go; an empty folder.
    seeds : sequence of int
        One volume each; same seed, same volume.
    nodules : float
        Mean number of nodules in a volume.
    processes : int
        Processes that make volumes.
    on_progress : callable, optional
        Called with volumes done and volumes in all.
    """
    arrays = _create(folder, len(seeds))
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=end_with_parent) as pool:
        jobs = [pool.submit(_make_volume, folder, index, seed, nodules) for index, seed in enumerate(seeds)]
        for done, job in enumerate(as_completed(jobs), start=1):
            job.result()
            if on_progress is not None:
                on_progress(done, len(seeds))
    return arrays


def open_pretraining_set(folder: Path, mode: Literal["r", "r+"] = "r") -> PretrainingSet:
    """Map a practice set from disk.

    Parameters
    ----------
    folder : Path
        As given to `make_pretraining_set`.
    mode : "r" or "r+"
        To read, or to write in place.
    """
    return PretrainingSet(*(np.load(folder / f"{name}.npy", mmap_mode=mode) for name in ("hu", "labels", "masks")))


def _create(folder: Path, n: int) -> PretrainingSet:
    shapes = {
        "hu": (np.int16, (n, SLICES, 2, SIZE, SIZE)),
        "labels": (np.uint8, (n, SLICES)),
        "masks": (np.uint8, (n, SLICES, SIZE, SIZE)),
    }
    for name, (dtype, shape) in shapes.items():
        np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=dtype, shape=shape).flush()
    return open_pretraining_set(folder)


def _make_volume(folder: Path, index: int, seed: int, nodules: float) -> None:
    hu, labels, masks = procedural.volume(seed, nodules=nodules)
    practice = open_pretraining_set(folder, mode="r+")
    practice.hu[index] = np.swapaxes(hu, 0, 1)
    practice.labels[index] = labels
    practice.masks[index] = masks
