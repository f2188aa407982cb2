"""Files of 2-D patches around nodule candidates, with their labels: the format of LUNA16's 8-bit patches."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lidcflow.errors import LabelError
from lidcflow.nodules.window import SIZE

SERIES_ROWS = 620
"""LUNA16's list has 551,065 candidates of 888 series, ordered by series: rows this far apart are of two series."""

MOST_BYTES = 2**31
"""Most bytes of a file's unpacked arrays."""


@dataclass(frozen=True)
class PatchFile:
    """Patches with their labels.

    Attributes
    ----------
    image : (n, rows, columns) array of uint8
        HU -1000 to 400 as 0 to 255, at least 48 x 48.
    label : (n,) array of int64
        1 for a nodule, 0 for none.
    order : (n,) array of int64
        Row in a list ordered by series; that of LUNA16 for the patches here.
    series : (n,) array of str
        Series of each patch, or a stretch of `SERIES_ROWS` rows where the file names no series.
    split : (n,) array of str
        ``train``, ``validation`` or what else the file says; empty where it says nothing.
    """

    image: NDArray[np.uint8]
    label: NDArray[np.int64]
    order: NDArray[np.int64]
    series: NDArray[np.str_]
    split: NDArray[np.str_]

    def part(self, chosen: NDArray[np.bool_]) -> PatchFile:
        """Return the patches that are chosen."""
        image, label, order = self.image[chosen], self.label[chosen], self.order[chosen]
        return PatchFile(image, label, order, self.series[chosen], self.split[chosen])


def read_patch_file(file: Path) -> PatchFile:
    """Read a file of patches.

    Parameters
    ----------
    file : Path
        An ``.npz`` file with ``image``, ``label`` and either ``series`` or ``candidate_index``, and maybe ``split``.

    Raises
    ------
    LabelError
        If the file is missing or no such file, or an array is missing or is not what it must be.
    """
    arrays = _arrays(file)
    image, n = _image(arrays, file), len(arrays.get("image", ()))
    label = _column(arrays, "label", n, file)
    if not np.isin(label, (0, 1)).all():
        raise _wrong(file, "label must be 0 or 1", f"{sorted({*np.asarray(label).tolist()} - {0, 1})[:3]}")
    order = _order(arrays, n, file)
    split = _text(arrays, "split", n, file) if "split" in arrays else np.full(n, "")
    return PatchFile(image, label.astype(np.int64), order, _series(arrays, order, n, file), split)


def _arrays(file: Path) -> dict[str, NDArray[np.generic]]:
    try:
        with zipfile.ZipFile(file) as archive:
            if (total := sum(member.file_size for member in archive.infolist())) > MOST_BYTES:
                raise _wrong(file, f"arrays must be at most {MOST_BYTES} bytes", f"{total}")
        with np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        found = "no such file" if isinstance(error, FileNotFoundError) else "something else"
        raise _wrong(file, "must be an .npz file of arrays without Python objects", found) from None


def _image(arrays: dict[str, NDArray[np.generic]], file: Path) -> NDArray[np.uint8]:
    image = _array(arrays, "image", file)
    if image.ndim != 3 or min(image.shape[1:]) < SIZE:
        raise _wrong(file, f"image must be (n, rows, columns) of at least {SIZE} x {SIZE}", f"{image.shape}")
    if not len(image):
        raise _wrong(file, "must hold patches", "none")
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        raise _wrong(file, "image must hold numbers", "values that are none (NaN or infinite)")
    if image.dtype != np.uint8:
        raise _wrong(file, "image must be uint8, HU -1000 to 400 as 0 to 255", f"{image.dtype}")
    return np.asarray(image, np.uint8)


def _order(arrays: dict[str, NDArray[np.generic]], n: int, file: Path) -> NDArray[np.int64]:
    if "candidate_index" not in arrays:
        if "series" not in arrays:
            raise _wrong(file, "must name the series of each patch in series or candidate_index", "neither")
        return np.arange(n)
    order = _column(arrays, "candidate_index", n, file).astype(np.int64)
    if order.min() < 0:
        raise _wrong(file, "candidate_index must be rows of a list, from 0", f"{order.min()}")
    return order


def _series(arrays: dict[str, NDArray[np.generic]], order: NDArray[np.int64], n: int, file: Path) -> NDArray[np.str_]:
    if "series" not in arrays:
        return (order // SERIES_ROWS).astype(str)
    series = _text(arrays, "series", n, file)
    if (series == "").any():
        raise _wrong(file, "series must name the series of each patch", f"{int((series == '').sum())} without")
    return series


def _text(arrays: dict[str, NDArray[np.generic]], name: str, n: int, file: Path) -> NDArray[np.str_]:
    array = _array(arrays, name, file)
    if array.shape != (n,) or array.dtype.kind not in "Uiu":
        raise _wrong(file, f"{name} must be {n} texts, one a patch", f"{array.dtype} of shape {array.shape}")
    return array.astype(str)


def _column(arrays: dict[str, NDArray[np.generic]], name: str, n: int, file: Path) -> NDArray[np.integer]:
    array = _array(arrays, name, file)
    if array.shape != (n,) or array.dtype.kind not in "iub":
        raise _wrong(file, f"{name} must be {n} whole numbers, one a patch", f"{array.dtype} of shape {array.shape}")
    return np.asarray(array, np.int64)


def _array(arrays: dict[str, NDArray[np.generic]], name: str, file: Path) -> NDArray[np.generic]:
    if name not in arrays:
        raise _wrong(file, f"must hold an array {name}", f"{', '.join(sorted(arrays)) or 'none'}")
    return arrays[name]


def _wrong(file: Path, rule: str, found: str) -> LabelError:
    return LabelError(f"patches {file.name}: {rule}, got {found}; docs/detector.md describes the format")
