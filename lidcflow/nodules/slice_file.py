"""Sets of nodules, one slice each, with readers' malignancy ratings: the format of nodule-slices."""

from __future__ import annotations

import csv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lidcflow.errors import LabelError

IMAGES, TABLE = "slices.npz", "nodules.csv"
COLUMNS = ("patient_id", "pixel_spacing_mm", "ratings")
AREA_COLUMN = "area_diameter_mm"

LEAST_SIDE = 24
SPACING_MM = (0.1, 2.0)
MOST_BYTES = 2**31
"""Most bytes of the unpacked images."""


@dataclass(frozen=True, eq=False)
class NoduleSliceSet:
    """Nodules with their ratings.

    Attributes
    ----------
    hu : (n, rows, columns) array of int
        The nodule in the middle.
    pixel_mm : (n,) array of float64
    patient : (n,) array of str
    rating : (n,) array of float64
        Mean of its readers' malignancy ratings, 1 to 5.
    readers : (n,) array of int
        How many readers rated it.
    spread : (n,) array of float64
        Standard deviation of its ratings; 0 of a single one.
    area_diameter_mm : (n,) array of float64
        Diameter by the area of readers' outlines; NaN where the table gives none.
    unrated : int
        Nodules without a rating, which were left out.
    """

    hu: NDArray[np.integer]
    pixel_mm: NDArray[np.float64]
    patient: NDArray[np.str_]
    rating: NDArray[np.float64]
    readers: NDArray[np.int64]
    spread: NDArray[np.float64]
    area_diameter_mm: NDArray[np.float64]
    unrated: int


def read_nodule_slices(folder: Path) -> NoduleSliceSet:
    """Read a set of nodules.

    Parameters
    ----------
    folder : Path
        With ``slices.npz``, which holds ``hu``, and ``nodules.csv``, row for row.

    Raises
    ------
    LabelError
        If a file is missing or is none of these, or a column is missing or holds what it must not.
    """
    hu, rows = _images(folder), _table(folder)
    if len(hu) != len(rows):
        raise _wrong(folder, f"{TABLE} must have a row for each of the {len(hu)} images", f"{len(rows)} rows")
    ratings = [_ratings(folder, row) for row in rows]
    rated = np.array([bool(given) for given in ratings], bool)
    if not rated.any():
        raise _wrong(folder, "at least one nodule must have a malignancy rating", "none")
    return NoduleSliceSet(
        hu=hu[rated],
        pixel_mm=np.array([_spacing(folder, row) for row in rows])[rated],
        patient=np.array([_patient(folder, row) for row in rows])[rated],
        rating=np.array([np.mean(given) for given in ratings if given]),
        readers=np.array([len(given) for given in ratings if given]),
        spread=np.array([np.std(given) for given in ratings if given]),
        area_diameter_mm=np.array([_number(row.get(AREA_COLUMN)) for row in rows])[rated],
        unrated=int((~rated).sum()),
    )


def _images(folder: Path) -> NDArray[np.integer]:
    file = folder / IMAGES
    try:
        with zipfile.ZipFile(file) as archive:
            if (total := sum(member.file_size for member in archive.infolist())) > MOST_BYTES:
                raise _wrong(folder, f"{IMAGES} must hold at most {MOST_BYTES} bytes", f"{total}")
        with np.load(file, allow_pickle=False) as stored:
            hu = stored["hu"]
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        found = "no such file" if isinstance(error, FileNotFoundError) else "something else"
        raise _wrong(folder, f"{IMAGES} must be an .npz file with an array hu", found) from None
    if hu.ndim != 3 or min(hu.shape[1:]) < LEAST_SIDE or hu.dtype.kind != "i" or not len(hu):
        rule = f"hu must be (n, rows, columns) signed whole numbers of at least {LEAST_SIDE} x {LEAST_SIDE}"
        raise _wrong(folder, rule, f"{hu.dtype} of shape {hu.shape}")
    return np.asarray(hu)


def _table(folder: Path) -> list[dict[str, str]]:
    try:
        with (folder / TABLE).open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        found = "no such file" if isinstance(error, FileNotFoundError) else "something else"
        raise _wrong(folder, f"{TABLE} must be a table in UTF-8", found) from None
    missing = [name for name in COLUMNS if not rows or name not in rows[0]]
    if missing:
        raise _wrong(folder, f"{TABLE} must have rows and the columns {', '.join(COLUMNS)}", f"no {missing[0]}")
    return rows


def _ratings(folder: Path, row: dict[str, str]) -> list[float]:
    values = [_number(part) for part in (row["ratings"] or "").replace(";", " ").replace(",", " ").split()]
    if any(not 1 <= value <= 5 for value in values):
        raise _wrong(folder, "ratings must be 1 to 5, such as 3 or 2;4", f"{row['ratings'][:40]!r}")
    return values


def _spacing(folder: Path, row: dict[str, str]) -> float:
    value = _number(row["pixel_spacing_mm"])
    if not SPACING_MM[0] <= value <= SPACING_MM[1]:
        rule = f"pixel_spacing_mm must be {SPACING_MM[0]} to {SPACING_MM[1]} mm"
        raise _wrong(folder, rule, f"{(row['pixel_spacing_mm'] or '')[:40]!r}")
    return value


def _patient(folder: Path, row: dict[str, str]) -> str:
    if not (row["patient_id"] or "").strip():
        raise _wrong(folder, "patient_id must name the patient of each nodule", "an empty one")
    return row["patient_id"].strip()


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return float("nan")


def _wrong(folder: Path, rule: str, found: str) -> LabelError:
    return LabelError(f"nodule slices {folder.name}: {rule}, got {found}; docs/malignancy.md describes the format")
