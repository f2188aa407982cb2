"""Make the embedded malignancy model from nodule slices with readers' ratings."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lidcflow.config.science import MALIGNANT_AT
from lidcflow.errors import TrainingError
from lidcflow.learn.malignancy_folds import (
    FOLDS,
    PENALTIES,
    cross_validated,
    fit_calibration,
    fit_linear,
    ridge,
)
from lidcflow.nodules.detector import embedded_detector
from lidcflow.nodules.detector_network import DetectorNetwork
from lidcflow.nodules.malignancy import write_malignancy
from lidcflow.nodules.malignancy_answer import calibrated, ranges_of
from lidcflow.nodules.malignancy_features import network_features, quantitative_features
from lidcflow.nodules.nodule_plane import plane_of
from lidcflow.nodules.slice_file import NoduleSliceSet, read_nodule_slices
from lidcflow.stats.malignancy_figures import malignancy_figures

Floats = NDArray[np.float64]
Progress = Callable[[str, int, int], None]

SLICES = "nodule-slices"

LEAST_OF_A_CLASS = 30

NAME = "lidcflow malignancy model"

ATTRIBUTION = (
    "Armato SG III et al. 2011, LIDC-IDRI, The Cancer Imaging Archive, doi:10.7937/K9/TCIA.2015.LO9QL9SX, CC BY 3.0",
    "by way of the repository mtzig/LIDC_GDRO (MIT); the network's weights are those of the embedded nodule detector, "
    "whose card names its images",
)

SPLIT = (
    f"figures are cross-validated by patient in {FOLDS} folds, of models that saw none of the patient's ratings; the "
    "model that ships was trained on all patients of the set. The network under it is the embedded detector's, which "
    "learned what is a nodule, without malignancy, on most of these images too (with a lower target for nodules of one "
    "or two readers): its features are not held out. The range of penalties and the threshold of the mask were chosen "
    "on the same nodules"
)


@dataclass(frozen=True)
class MalignancyReport:
    """The result of a training.

    Attributes
    ----------
    folder : Path
        With ``malignancy.npz`` and ``malignancy.json``.
    sha256 : str
        Digest of the weight file.
    card : mapping
        The card.
    wall_s : float
    """

    folder: Path
    sha256: str
    card: Mapping[str, Any]
    wall_s: float


def pretrain_malignancy(
    data: Path, out: Path, *, seed: int = 0, on_progress: Progress = lambda _stage, _done, _total: None
) -> MalignancyReport:
    """Fit the malignancy model on all nodules of a set and write its weights and card.

    Parameters
    ----------
    data : Path
        Folder with ``nodule-slices``.
    out : Path
        Folder to write to.
    seed : int
        Of the folds.
    on_progress : callable, optional
        Called with a stage's name, what is done and what there is to do.

    Raises
    ------
    LabelError
        If the set is missing or damaged.
    TrainingError
        If fewer than 30 of its nodules are malignant, or benign.
    """
    started_s = time.monotonic()
    sets = read_nodule_slices(data / SLICES)
    require_both_kinds(sets)
    network = half_precision(embedded_detector().networks[0])
    on_progress("features", 0, 1)
    qif, diameter_mm = read_qif(sets)
    features = np.column_stack([network_features(network, list(sets.hu), sets.pixel_mm), qif])
    on_progress("features", 1, 1)
    rating = cross_validated(features, sets, ridge, seed=seed)
    kernel, bias = fit_linear(features, sets)
    card = _card(sets, rating, qif, diameter_mm, seed)
    digest = write_malignancy(out, network, kernel, bias, card)
    return MalignancyReport(out, digest, {**card, "sha256": digest}, round(time.monotonic() - started_s, 3))


def require_both_kinds(sets: NoduleSliceSet) -> None:
    """Check that there are nodules enough of both kinds.

    Raises
    ------
    TrainingError
        Naming how many there are.
    """
    malignant = int((sets.rating >= MALIGNANT_AT).sum())
    benign = len(sets.rating) - malignant
    if min(malignant, benign) < LEAST_OF_A_CLASS:
        raise TrainingError(
            f"malignancy: must have at least {LEAST_OF_A_CLASS} nodules with a mean rating of {MALIGNANT_AT:g} and "
            f"more and as many below, got {malignant} and {benign}; add nodules"
        )


def read_qif(sets: NoduleSliceSet) -> tuple[Floats, Floats]:
    """Return QIF and diameters of the nodules of a set, by the images alone."""
    planes = [plane_of(image, float(mm)) for image, mm in zip(sets.hu, sets.pixel_mm, strict=True)]
    return quantitative_features(np.stack(planes))


def half_precision(network: DetectorNetwork) -> DetectorNetwork:
    """Return a network with the weights that its file will hold."""
    return DetectorNetwork({name: one.astype(np.float16).astype(np.float32) for name, one in network.weights.items()})


def _card(sets: NoduleSliceSet, rating: Floats, qif: Floats, diameter_mm: Floats, seed: int) -> dict[str, Any]:
    calibration = fit_calibration(rating, sets.rating)
    sizes = {"image": diameter_mm, "area_diameter_mm": sets.area_diameter_mm}
    figures = malignancy_figures(calibrated(rating, calibration), sets.rating, sets.patient, sizes, seed=seed)
    known = np.isfinite(sets.area_diameter_mm).all()
    size_mm = sets.area_diameter_mm if known else diameter_mm
    return {
        "name": NAME,
        "system": "ridge regression of the mean rating on the stages of the nodule detector's network and QIF",
        "target": f"readers' mean malignancy rating of {MALIGNANT_AT:g} or more, of 5",
        "data": ["LIDC-IDRI nodules as slices in HU (repository mtzig/LIDC_GDRO, MIT)"],
        "attribution": list(ATTRIBUTION),
        "licence": "CC BY 3.0, as the images",
        "split": SPLIT,
        "training": {"penalties": list(PENALTIES), "weight": "number of readers", "seed": seed},
        "nodules": len(sets.rating),
        "unrated": sets.unrated,
        "calibration": calibration,
        "ranges": ranges_of(size_mm, qif),
        "figures": [one.model_dump() for one in figures],
        "patients": np.unique(sets.patient).tolist(),
    }
