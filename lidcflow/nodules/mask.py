"""The mask of a finding as it is kept in an answer: a box of bits about the finding's centre."""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lidcflow.part import Part


class Mask(Part):
    """Voxels inside of a finding."""

    voxel_mm: float = Field(gt=0, description="edge of a voxel")
    shape: tuple[int, int, int] = Field(description="slices, rows and columns of the box")
    first_mm: tuple[float, float, float] = Field(
        description="centre of the first voxel from the finding's centre: mm down along the chest, along a column of "
        "the image and along a row"
    )
    bits: str = Field(description="a bit each, the first in the highest bit of a byte; compressed by zlib, in base 64")

    def voxels(self) -> NDArray[np.bool_]:
        """Return the box as an array of bool.

        Raises
        ------
        ValueError
            If the bits are not as many as the box has voxels.
        """
        n = int(np.prod(self.shape))
        packed = zlib.decompressobj().decompress(b64decode(self.bits), -(-n // 8) + 1)
        bits = np.unpackbits(np.frombuffer(packed, np.uint8))
        if len(packed) != -(-n // 8):
            raise ValueError(f"mask: bits must be those of {n} voxels, got {len(bits)}")
        return bits[:n].reshape(self.shape).astype(np.bool_)

    @property
    def down_mm(self) -> tuple[float, float]:
        """Positions of its first and last slice, down from the finding's centre."""
        return self.first_mm[0], self.first_mm[0] + (self.shape[0] - 1) * self.voxel_mm

    def plane(self, down_mm: float, rows_mm: NDArray[np.float64], columns_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which points of a plane are inside, each by the voxel that holds it.

        Parameters
        ----------
        down_mm : float
            Of the plane, down from the finding's centre.
        rows_mm, columns_mm : (rows,) and (columns,) arrays of float64
            Of the points from the finding's centre.

        Returns
        -------
        (rows, columns) array of bool
        """
        wanted = (np.array([down_mm]), rows_mm, columns_mm)
        index = [
            np.rint((at - first) / self.voxel_mm).astype(np.intp)
            for at, first in zip(wanted, self.first_mm, strict=True)
        ]
        inside = [(one >= 0) & (one < n) for one, n in zip(index, self.shape, strict=True)]
        held = self.voxels()[np.ix_(*(one.clip(0, n - 1) for one, n in zip(index, self.shape, strict=True)))]
        return np.asarray(held[0] & inside[0] & inside[1][:, None] & inside[2], np.bool_)


def mask_of(voxels: NDArray[np.bool_], voxel_mm: float) -> Mask:
    """Return what is inside of a cube as a mask.

    Parameters
    ----------
    voxels : (slices, rows, columns) array of bool
        Of a cube about the finding's centre, not empty.
    voxel_mm : float
        Edge of a voxel.
    """
    ends = [np.flatnonzero(voxels.any(axis=tuple({0, 1, 2} - {axis})))[[0, -1]] for axis in range(3)]
    box = voxels[tuple(slice(int(first), int(last) + 1) for first, last in ends)]
    first_mm = [round((int(end[0]) - (n - 1) / 2) * voxel_mm, 4) for end, n in zip(ends, voxels.shape, strict=True)]
    slices, rows, columns = box.shape
    bits = b64encode(zlib.compress(np.packbits(box).tobytes(), 9)).decode("ascii")
    return Mask(
        voxel_mm=voxel_mm,
        shape=(slices, rows, columns),
        first_mm=(first_mm[0], first_mm[1], first_mm[2]),
        bits=bits,
    )
