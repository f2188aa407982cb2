"""A system of malignancy that was trained on a store: its arrays, its card, and the two as files."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lidcflow.nodules.cubes import CUBE_MM, CUBE_VOXELS
from lidcflow.nodules.malignancy_answer import SIZE, TEXTURE, MalignancyAnswer, calibrated, unknown_texture
from lidcflow.nodules.malignancy_scores import ANSWER, SCORES, Arrays, Scores
from lidcflow.nodules.nodule_views import NoduleViews, views_of, views_of_slices
from lidcflow.nodules.outline import Outline
from lidcflow.nodules.weight_files import MALIGNANCY

Floats = NDArray[np.float64]

ONE_PLANE = frozenset({"svm", "ridge", "size"})
"""Kinds that see one axial plane."""

KIND = "kind"
"""Key of a card; the one that ships in the package has none."""


@dataclass(frozen=True, eq=False)
class MalignancySystem:
    """A system of one of the kinds of `lidcflow.nodules.malignancy_scores.SCORES`.

    Attributes
    ----------
    arrays : mapping of str to array
        What the scores are computed from.
    card : mapping
        ``name``, ``kind``, ``calibration``, ``ranges``, data and figures; see docs/malignancy.md.
    sha256 : str
        Digest of the weight file.
    """

    arrays: Arrays
    card: Mapping[str, Any]
    sha256: str

    @property
    def name(self) -> str:
        """The system that answers."""
        return str(self.card["name"])

    @property
    def kind(self) -> str:
        """Which of the kinds it is."""
        return str(self.card[KIND])

    def answer(
        self, cube: NDArray[np.integer], voxel_mm: float, outline: Outline | None, diameter_mm: float
    ) -> MalignancyAnswer:
        """Return P(malignant) of the nodule in the middle of a cube.

        Parameters
        ----------
        cube : (48, 48, 48) array of int
            HU: slices, rows, columns.
        voxel_mm : float
            Edge of a voxel.
        outline : Outline, optional
            Names the slice to read and the size; without it, the middle slice is read.
        diameter_mm : float
            Of the candidate; held against the sizes trained on where there is no outline.
        """
        views = views_of(cube, voxel_mm, outline)
        size_mm = diameter_mm if outline is None else outline.long_axis_mm
        least, most = self.card["ranges"][SIZE]
        outside = [SIZE] if not least <= size_mm <= most else []
        texture = [TEXTURE] if unknown_texture(views.qif, self.card["ranges"])[0] else []
        return MalignancyAnswer(float(self.probabilities(views)[0]), (*outside, *texture))

    @property
    def reads_slices(self) -> bool:
        """Whether one axial plane is enough for it."""
        return self.kind in ONE_PLANE

    def read(
        self, images: Sequence[NDArray[np.integer]], pixel_mm: NDArray[np.floating]
    ) -> tuple[Floats, NDArray[np.bool_], Floats]:
        """Return P(malignant) of the nodules in the middle of axial images, as `MalignancyModel.read` does.

        Parameters
        ----------
        images : (n,) sequence of (rows, columns) arrays of int
            HU, all of one size.
        pixel_mm : (n,) array
            Distances of their pixels.

        Raises
        ------
        ValueError
            If the system sees more than one plane.
        """
        if not self.reads_slices:
            raise ValueError(f"{self.name}: must see one plane alone to read slices, got a system of kind {self.kind}")
        views = views_of_slices(images, pixel_mm)
        texture = unknown_texture(views.qif, self.card["ranges"])
        return self.probabilities(views), np.asarray(texture, np.bool_), views.size_mm

    def scores(self, views: NoduleViews) -> Scores:
        """Return the scores of nodules before the calibration, those of its parts too."""
        return SCORES[self.kind](self.arrays, views)

    def probabilities(self, views: NoduleViews) -> Floats:
        """Return P(malignant) of nodules, (n,)."""
        return calibrated(self.scores(views)[ANSWER], self.card["calibration"])


def made(content: bytes, card: Mapping[str, Any], digest: str) -> MalignancySystem:
    """Return the system of a weight file and its card, once it has scored a made-up nodule.

    Raises
    ------
    ValueError
        If they are not those of a system.
    """
    if card[KIND] not in SCORES:
        raise ValueError(f"a system of the kind {card[KIND]!r}, which this lidcflow does not know")
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise ValueError("weights that are no numbers")
    system = MalignancySystem(arrays, card, digest)
    try:
        answer = system.answer(np.full([CUBE_VOXELS] * 3, -800, np.int16), CUBE_MM[0], None, 5.0)
    except IndexError as error:
        raise ValueError(f"arrays that do not fit: {error}") from error
    if not np.isfinite(answer.probability) or not isinstance(card["name"], str):
        raise ValueError("a system that answers no number")
    return system


def write_system(folder: Path, arrays: Arrays, card: Mapping[str, Any]) -> str:
    """Write a system: same arrays, same bytes.

    Parameters
    ----------
    folder : Path
        Made if it does not exist; gets ``malignancy.npz`` and ``malignancy.json``.
    arrays : mapping of str to array
        As the kind's function in `lidcflow.nodules.malignancy_scores` takes them.
    card : mapping
        With ``name``, ``kind``, ``calibration`` and ``ranges``; the digest is put in here.

    Returns
    -------
    str
        SHA-256 of the weight file.
    """
    return MALIGNANCY.write(folder, arrays, card)
