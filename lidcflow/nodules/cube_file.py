"""Files of cubes around nodules with a reader's mask: the format of `nodule-cubes`."""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from lidcflow.errors import LabelError
from lidcflow.nodules.window import HIGHEST_HU, LOWEST_HU

Voxel = TypeVar("Voxel", bound=np.generic)

SIDE = 51
"""Voxels along each side of a cube: 50 mm, as pylidc cuts them."""

VOXEL_MM = 1.0
"""Distance of voxels: pylidc's interpolation to cubes of ``side_length + 1`` voxels makes them 1 mm."""

NODULE = 26
"""The centres of all masks lie between this voxel and the next one, along each axis of the file."""

SHOWN = 48
"""Voxels along each side of what the segmenter takes; their middle is that of the nodule."""

MOST_BYTES = 2**31
"""Most bytes of a file's unpacked arrays."""


@dataclass(frozen=True)
class CubeFile:
    """Cubes with their masks.

    Attributes
    ----------
    image : (n, 51, 51, 51) array of uint8
        HU -1000 to 400 as 0 to 255: slices from the top of the chest, rows, columns; voxels of 1 mm.
    mask : (n, 51, 51, 51) array of bool
        What a reader outlined.
    name : (n,) array of str
        ``<scan index>_nod<k>_ann<j>``.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    name: NDArray[np.str_]

    @property
    def scan(self) -> NDArray[np.str_]:
        """Return the scan index of each: cubes of one scan are not independent."""
        return np.array([name.partition("_")[0] for name in self.name])

    def part(self, chosen: NDArray[np.bool_]) -> CubeFile:
        """Return the cubes that are chosen."""
        return CubeFile(self.image[chosen], self.mask[chosen], self.name[chosen])

    def hu(self) -> NDArray[np.int16]:
        """Return the densities of the middle 48 voxels along each axis.

        Returns
        -------
        (n, 48, 48, 48) array of int16
            HU.
        """
        share = around_nodule(self.image).astype(np.float32) / 255
        return np.asarray(np.rint(share * (HIGHEST_HU - LOWEST_HU) + LOWEST_HU), np.int16)


def around_nodule(cubes: NDArray[Voxel]) -> NDArray[Voxel]:
    """Return the (..., 48, 48, 48) voxels whose middle is that of the nodule.

    Parameters
    ----------
    cubes : (..., 51, 51, 51) array
        Slices from the top, rows, columns.

    Examples
    --------
    >>> around_nodule(np.arange(51**3).reshape(51, 51, 51))[0, 0, 0] == 3 * 51 + 3
    np.True_
    """
    first = NODULE + 1 - SHOWN // 2
    return cubes[..., : SIDE - first, first:, first:]


def read_cube_file(file: Path) -> CubeFile:
    """Read a file of cubes.

    Parameters
    ----------
    file : Path
        An ``.npz`` file with ``image``, ``mask`` and ``name``; the axes of a cube are rows, columns and slices from the
        feet, as pylidc's.

    Raises
    ------
    LabelError
        If the file is missing or no such file, or an array is missing or is not what it must be.
    """
    arrays = _arrays(file)
    image = _cubes(arrays, "image", file)
    if image.dtype != np.uint8:
        raise _wrong(file, "image must be uint8, HU -1000 to 400 as 0 to 255", f"{image.dtype}")
    return CubeFile(
        _from_the_top(np.asarray(image, np.uint8)),
        _from_the_top(_mask(arrays, len(image), file)),
        _names(arrays, len(image), file),
    )


def _from_the_top(cubes: NDArray[Voxel]) -> NDArray[Voxel]:
    """Bring the axes (row, column, slice from the feet) to (slice from the top, row, column)."""
    return cubes.transpose(0, 3, 1, 2)[:, ::-1]


def _arrays(file: Path) -> dict[str, NDArray[np.generic]]:
    try:
        with zipfile.ZipFile(file) as archive:
            if (total := sum(member.file_size for member in archive.infolist())) > MOST_BYTES:
                raise _wrong(file, f"arrays must be at most {MOST_BYTES} bytes", f"{total}")
        with np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files if name in ("image", "mask", "name")}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        found = "no such file" if isinstance(error, FileNotFoundError) else "something else"
        raise _wrong(file, "must be an .npz file of arrays without Python objects", found) from None


def _cubes(arrays: dict[str, NDArray[np.generic]], name: str, file: Path) -> NDArray[np.generic]:
    cubes = _array(arrays, name, file)
    if cubes.ndim != 4 or cubes.shape[1:] != (SIDE, SIDE, SIDE):
        raise _wrong(file, f"{name} must be (n, {SIDE}, {SIDE}, {SIDE})", f"{cubes.shape}")
    if not len(cubes):
        raise _wrong(file, "must hold cubes", "none")
    return cubes


def _mask(arrays: dict[str, NDArray[np.generic]], n: int, file: Path) -> NDArray[np.bool_]:
    mask = _cubes(arrays, "mask", file)
    if len(mask) != n:
        raise _wrong(file, f"mask must be of {n} cubes, as image", f"{len(mask)}")
    if mask.dtype.kind not in "bui" or not np.isin(mask, (0, 1)).all():
        raise _wrong(file, "mask must be whole numbers, 1 in the nodule and 0 elsewhere", f"{mask.dtype}{_range(mask)}")
    return mask.astype(np.bool_)


def _range(mask: NDArray[np.generic]) -> str:
    return f" from {mask.min()} to {mask.max()}" if mask.dtype.kind in "ui" else ""


def _names(arrays: dict[str, NDArray[np.generic]], n: int, file: Path) -> NDArray[np.str_]:
    names = _array(arrays, "name", file)
    if names.shape != (n,) or names.dtype.kind != "U":
        raise _wrong(file, f"name must be {n} texts, one a cube", f"{names.dtype} of shape {names.shape}")
    if odd := [str(name) for name in names if not re.match(r"\d+_nod", str(name))]:
        raise _wrong(file, "name must begin with the scan's index, as 12_nod2_ann0", repr(odd[0][:40]))
    return names.astype(str)


def _array(arrays: dict[str, NDArray[np.generic]], name: str, file: Path) -> NDArray[np.generic]:
    if name not in arrays:
        raise _wrong(file, f"must hold an array {name}", f"{', '.join(sorted(arrays)) or 'none'}")
    return arrays[name]


def _wrong(file: Path, rule: str, found: str) -> LabelError:
    return LabelError(f"cubes {file.name}: {rule}, got {found}; docs/segmenter.md describes the format")
