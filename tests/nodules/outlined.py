"""Made-up outlined nodules, and segmenters small enough for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lidcflow.nodules.segmenter import Segmenter, shapes

NAMES = ("11_nod1_ann0", "11_nod2_ann0", "12_nod1_ann0", "14_nod1_ann0")


class Brightness:
    """A network that takes bright voxels for the nodule."""

    def __call__(self, grey: NDArray[np.uint8], _voxel_mm: float) -> NDArray[np.float32]:
        return (grey.astype(np.float32) - 128) / 8


def brightness(**card: object) -> Segmenter:
    """Return a segmenter that takes bright voxels for the nodule."""
    return Segmenter(Brightness(), card, "ab" * 32)  # type: ignore[arg-type]


def random_weights(seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Return random weights of the segmenter's network."""
    rng = np.random.default_rng(seed)
    return {name: rng.normal(0, 0.05, shape).astype(np.float32) for name, shape in shapes().items()}


def balls(radii: tuple[float, ...]) -> NDArray[np.bool_]:
    """Return (n, 51, 51, 51) balls around the place of a nodule, in voxels."""
    away = np.sqrt(((np.indices((51, 51, 51)) - 26.5) ** 2).sum(axis=0))
    return np.stack([away <= radius for radius in radii])


def write_cubes(folder: Path, names: tuple[str, ...] = NAMES, **changes: NDArray[np.generic] | None) -> Path:
    """Write ``nodule-cubes`` below a folder: bright balls with their masks; arrays given as None are left out."""
    mask = balls(tuple(4.0 + i % 5 for i in range(len(names))))
    arrays = {"image": np.where(mask, 220, 40).astype(np.uint8), "mask": mask.astype(np.uint8), "name": np.array(names)}
    target = folder / "nodule-cubes"
    target.mkdir(parents=True, exist_ok=True)
    kept = {name: array for name, array in (arrays | changes).items() if array is not None}
    np.savez_compressed(target / "cubes.npz", **kept)  # type: ignore[arg-type]
    return target / "cubes.npz"
