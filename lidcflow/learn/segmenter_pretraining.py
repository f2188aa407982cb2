"""Make the embedded segmenter: train on cubes, measure it on those that were kept apart, write weights and card."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lidcflow.errors import TrainingError
from lidcflow.learn.segmenter_training import SegmenterTraining, train_segmenter
from lidcflow.learn.segmenter_variations import OutlinedCube
from lidcflow.nodules.cube_figures import cube_figures
from lidcflow.nodules.cube_file import VOXEL_MM, CubeFile, read_cube_file
from lidcflow.nodules.cube_scores import reader_outlines, segmenter_scores
from lidcflow.nodules.segmenter import Segmenter, read_segmenter, write_segmenter
from lidcflow.nodules.segmenter_network import Floats, SegmenterNetwork

CUBES = "nodule-cubes/cubes.npz"

QUARTER = 4
"""A scan is kept apart if the SHA-256 of its index, as a number, is a multiple of this."""

SPLIT = (
    "by scan: kept apart are the scans whose index, as text, has a SHA-256 that is a multiple of 4; trained on the "
    "others. Those kept apart were measured on four times, after changes that were chosen on the others: a first "
    "network of Dice .225 could not be applied to whole cubes; a second one of Dice .751 had learned too shortly; the "
    "third one, of Dice .761 at voxels of 1 mm, is this one, read at the pitch of stored cubes"
)

DATA = ("LIDC-IDRI nodules as cubes with one reader's mask (repository franciscapessanha/Pulmonary-nodules-analysis)",)

ATTRIBUTION = (
    "Armato SG III et al. 2011, LIDC-IDRI, The Cancer Imaging Archive, doi:10.7937/K9/TCIA.2015.LO9QL9SX, CC BY 3.0",
)

SHIFTS = (0.0, 0.5, 1.0)
"""Added to the logits: that with the best mean Dice on the cubes trained on is kept.

Views blur the masks, and a network that learns from them outlines too little."""

DEFAULT = SegmenterTraining()

Weights = Mapping[str, Floats]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class SegmenterReport:
    """The result of a training.

    Attributes
    ----------
    folder : Path
        With ``segmenter.npz`` and ``segmenter.json``.
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


def require_cubes(folder: Path) -> None:
    """Check that the cubes are there.

    Raises
    ------
    TrainingError
        If they are not.
    """
    if not (folder / CUBES).is_file():
        raise TrainingError(f"segmenter data: must hold {CUBES}, got none; name the folder with --data")


def pretrain_segmenter(
    data: Path,
    out: Path,
    settings: SegmenterTraining = DEFAULT,
    *,
    on_progress: Progress = lambda _stage, _done, _total: None,
) -> SegmenterReport:
    """Train the segmenter and write its weights and card.

    Parameters
    ----------
    data : Path
        Folder with ``nodule-cubes``.
    out : Path
        Folder to write to.
    settings : SegmenterTraining
        Length, rate and seed.
    on_progress : callable, optional
        Called with a stage's name, what is done and what there is to do.

    Raises
    ------
    TrainingError
        If the cubes are missing, or those to train on or those kept apart are none.
    LabelError
        If the file is not one of cubes.
    """
    started = time.monotonic()
    require_cubes(data)
    training, apart = split_cubes(read_cube_file(data / CUBES))
    weights = train_segmenter(
        outlined_cubes(training), settings, on_progress=lambda done, total: on_progress("segmenter", done, total)
    )
    return assemble(out, weights, training, apart, settings, time.monotonic() - started)


def split_cubes(cubes: CubeFile) -> tuple[CubeFile, CubeFile]:
    """Part cubes into those to train on and those kept apart; cubes whose mask can't be measured are in neither.

    Raises
    ------
    TrainingError
        If one of both is empty.
    """
    usable = np.array([one is not None for one in reader_outlines(cubes)])
    apart = kept_apart(cubes.scan)
    parts = cubes.part(usable & ~apart), cubes.part(usable & apart)
    if not all(len(part.name) for part in parts):
        raise TrainingError(
            f"segmenter data: must have cubes to train on and cubes of other scans to keep apart, got "
            f"{len(parts[0].name)} and {len(parts[1].name)}; more scans are needed"
        )
    return parts


def kept_apart(scan: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Return which scans are kept apart.

    Examples
    --------
    >>> kept_apart(np.array(["11", "12", "120"]))
    array([ True,  True, False])
    """
    digests = [int(hashlib.sha256(str(one).encode()).hexdigest(), 16) for one in scan]
    return np.array([digest % QUARTER == 0 for digest in digests])


def outlined_cubes(cubes: CubeFile) -> list[OutlinedCube]:
    """Return cubes as the training takes them."""
    return [
        OutlinedCube(image.astype(np.float32), mask.astype(np.float32), VOXEL_MM)
        for image, mask in zip(cubes.image, cubes.mask, strict=True)
    ]


def best_shift(weights: Weights, training: CubeFile) -> tuple[float, Weights]:
    """Return which of `SHIFTS` outlines the cubes trained on best, and the weights with it.

    Parameters
    ----------
    weights : mapping of str to array
        As `SegmenterNetwork` takes them.
    training : CubeFile
    """
    truth = [one for one in reader_outlines(training) if one is not None]
    shifted = {shift: {**weights, "logits/bias": weights["logits/bias"] + np.float32(shift)} for shift in SHIFTS}
    dice = {
        shift: segmenter_scores(Segmenter(SegmenterNetwork(one), {}, ""), training, truth).dice.mean()
        for shift, one in shifted.items()
    }
    best = max(dice, key=lambda shift: float(dice[shift]))
    return best, shifted[best]


def assemble(
    out: Path,
    weights: Weights,
    training: CubeFile,
    apart: CubeFile,
    settings: SegmenterTraining,
    seconds: float,
) -> SegmenterReport:
    """Measure weights on the cubes kept apart, and write them with their card.

    Parameters
    ----------
    out : Path
        Folder to write to.
    weights : mapping of str to array
        As `SegmenterNetwork` takes them.
    training, apart : CubeFile
        Cubes trained on, and those to measure on.
    settings : SegmenterTraining
        For the card.
    seconds : float
        Time of the training.
    """
    started = time.monotonic()
    shift, weights = best_shift(weights, training)
    card = {
        "name": "lidcflow.nodules.segmenter",
        "data": list(DATA),
        "attribution": list(ATTRIBUTION),
        "licence": "CC BY 3.0, as the images",
        "split": SPLIT,
        "training": {**asdict(settings), "shift": shift},
        "trained_on": training.name.tolist(),
    }
    write_segmenter(out, weights, card)
    figures = cube_figures(read_segmenter(out), apart).model_dump(mode="json")
    sha256 = write_segmenter(out, weights, {**card, "kept_apart": figures})
    return SegmenterReport(out, sha256, read_segmenter(out).card, seconds + time.monotonic() - started)
