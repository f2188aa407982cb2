"""Measure the malignancy model on nodules with readers' ratings, one slice each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lidcflow.errors import LabelError
from lidcflow.nodules.malignancy import MalignancyModel, embedded_malignancy
from lidcflow.nodules.malignancy_system import MalignancySystem
from lidcflow.nodules.slice_file import AREA_COLUMN, read_nodule_slices
from lidcflow.nodules.systems import MalignancyLike
from lidcflow.stats.estimate import Estimate, Record
from lidcflow.stats.malignancy_figures import DesignFigures, malignancy_figures

IMAGE = "image"
"""Size by the image's own mask."""

SIZE_NAMES = {IMAGE: "size alone, by the image", AREA_COLUMN: "size alone, by readers' outlines"}


class NoduleSliceEvaluation(Record):
    """Figures of a malignancy model on a set of nodules.

    Attributes
    ----------
    folder : str
        Name of the folder.
    model, model_sha256 : str
        The system that answered, and the digest of its weights.
    nodules, patients : int
        Those that were scored.
    unrated : int
        Nodules without a rating, which were left out.
    instead_of : str
        The system of the release, if it reads cubes and could not be asked.
    trained_on : int
        Patients whose nodules the model was trained on.
    outside : int
        Nodules whose texture is unlike those that it was trained on.
    figures : tuple of DesignFigures
        Of each design with both kinds of nodules.
    """

    folder: str
    model: str
    model_sha256: str
    nodules: int
    patients: int
    unrated: int
    trained_on: int
    outside: int
    figures: tuple[DesignFigures, ...]
    instead_of: str = ""

    @property
    def rows(self) -> list[tuple[str, list[Estimate | None]]]:
        """Figures by name, one value a design."""
        names = {"auroc": "AUROC", "accuracy": "accuracy", "sensitivity": "sensitivity", "specificity": "specificity"}
        rows = [(title, [getattr(one, name) for one in self.figures]) for name, title in names.items()]
        for name, title in SIZE_NAMES.items():
            rows.append((f"AUROC of {title}", [one.size_auroc.get(name) for one in self.figures]))
            rows.append((f"AUROC above {title}", [one.above_size.get(name) for one in self.figures]))
        return [(title, values) for title, values in rows if any(value is not None for value in values)]

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what was left out and what the figures do not show."""
        return tuple(self._notes())

    def _notes(self) -> Iterator[str]:
        yield f"Scored by {self.model} {self.model_sha256[:12]}; a mean rating of 3 and more counts at P(malignant) .5."
        if self.instead_of:
            yield f"The release reads with {self.instead_of}, which needs cubes: the package's model read these slices."
        if self.unrated:
            yield f"{self.unrated} nodules without a malignancy rating were left out."
        if self.trained_on:
            yield (
                f"{self.trained_on} of the {self.patients} patients are among those that the model was trained on: "
                "their figures are too good; those cross-validated by patient are in its card."
            )
        if self.outside:
            yield f"{self.outside} nodules have a texture unlike those that the model was trained on."


def evaluate_nodule_slices(folder: Path, system: MalignancyLike | None, *, seed: int = 0) -> NoduleSliceEvaluation:
    """Score a set of nodules.

    Parameters
    ----------
    folder : Path
        See `lidcflow.nodules.slice_file.read_nodule_slices`.
    system : MalignancyLike, optional
        What scores them; one that reads cubes can't, and leaves them to the model of the package.
    seed : int
        Of the bootstrap.

    Raises
    ------
    LabelError
        If the folder holds no such set, or no design has both kinds of nodules.
    """
    sets, model = read_nodule_slices(folder), _reader_of_slices(system)
    probability, texture, diameter_mm = model.read(list(sets.hu), sets.pixel_mm)
    sizes = {IMAGE: diameter_mm, AREA_COLUMN: sets.area_diameter_mm}
    figures = malignancy_figures(probability, sets.rating, sets.patient, sizes, seed=seed)
    if not figures:
        raise LabelError(
            f"nodule slices {folder.name}: must hold nodules with a mean rating of 3 and more and others below, got "
            f"{len(sets.rating)} of one kind; docs/malignancy.md describes the designs"
        )
    patients = np.unique(sets.patient)
    return NoduleSliceEvaluation(
        folder=folder.name,
        model=model.name,
        instead_of="" if model is system or system is None else system.name,
        model_sha256=model.sha256,
        nodules=len(sets.rating),
        patients=len(patients),
        unrated=sets.unrated,
        trained_on=int(np.isin(patients, model.card.get("patients", [])).sum()),
        outside=int(texture.sum()),
        figures=figures,
    )


def _reader_of_slices(system: MalignancyLike | None) -> MalignancyModel | MalignancySystem:
    if isinstance(system, MalignancyModel) or (isinstance(system, MalignancySystem) and system.reads_slices):
        return system
    return embedded_malignancy()
