"""Measure the detector on a file of patches with labels."""

from __future__ import annotations

from pathlib import Path

from lidcflow.errors import LabelError
from lidcflow.nodules.detector import Detector
from lidcflow.nodules.patch_file import PatchFile, read_patch_file
from lidcflow.nodules.window import middle
from lidcflow.stats.estimate import Record
from lidcflow.stats.patch_figures import PatchFigures, patch_figures

TRAINED_ON = "train"
"""Split of the patches that the embedded detector was trained on."""


class PatchEvaluation(Record):
    """Figures of a detector on a file of patches.

    Attributes
    ----------
    file : str
        Name of the file.
    detector_sha256 : str
        Digest of the detector's weights.
    train_left_out : int
        Patches of the split ``train``, which were not scored.
    figures : PatchFigures
    """

    file: str
    detector_sha256: str
    train_left_out: int
    figures: PatchFigures


def evaluate_patches(file: Path, detector: Detector, *, seed: int = 0) -> PatchEvaluation:
    """Score a file of patches.

    Parameters
    ----------
    file : Path
        See `lidcflow.nodules.patch_file.read_patch_file`. Patches of the split ``train`` are left out, unless there
        are no others.
    detector : Detector
        What scores them.
    seed : int
        Of the bootstrap.

    Raises
    ------
    LabelError
        If the file is not one of patches, or those to score do not include both kinds.
    """
    patches = read_patch_file(file)
    trained_on = patches.split == TRAINED_ON
    left_out = 0 if trained_on.all() else int(trained_on.sum())
    scored = patches.part(~trained_on) if left_out else patches
    _require_both_kinds(scored, file)
    logits = detector.patch_logits(middle(scored.image))
    figures = patch_figures(logits, scored.label == 1, scored.series, seed=seed)
    return PatchEvaluation(file=file.name, detector_sha256=detector.sha256, train_left_out=left_out, figures=figures)


def _require_both_kinds(patches: PatchFile, file: Path) -> None:
    nodules = int(patches.label.sum())
    if not 0 < nodules < len(patches.label):
        raise LabelError(
            f"patches {file.name}: must hold patches with a nodule and patches without, got {nodules} with and "
            f"{len(patches.label) - nodules} without to score; docs/detector.md describes the format"
        )
