"""Make the embedded nodule detector: a base network, one that leaves out each measured series, and one of all."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lidcflow.errors import TrainingError
from lidcflow.files import whole_file
from lidcflow.learn.nodule_card import detector_card, patches_of_card
from lidcflow.learn.nodule_pretraining import train_detector
from lidcflow.learn.nodule_sets import MEASURED_ON, NoduleSets, read_sets
from lidcflow.learn.nodule_training import NoduleTraining
from lidcflow.nodules.detector import read_detector, write_detector
from lidcflow.nodules.detector_network import Floats

LEFT_OUT_FILE = "left-out.npz"
"""Networks that leave one measured series out, which no reading needs: for `recalibrate`."""

DEFAULT = NoduleTraining()

Progress = Callable[[str, int, int], None]

Weights = Mapping[str, Floats]


@dataclass(frozen=True)
class DetectorReport:
    """The result of a training.

    Attributes
    ----------
    folder : Path
        With ``detector.npz``, ``detector.json`` and ``left-out.npz``.
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


def pretrain_nodules(
    data: Path,
    out: Path,
    settings: NoduleTraining = DEFAULT,
    *,
    patches_only: bool = False,
    on_progress: Progress = lambda _stage, _done, _total: None,
) -> DetectorReport:
    """Train the detector on real patches, slices and candidates, and write its weights and card.

    A base network is trained without all of `MEASURED_ON`. From it go on, for each of these series, a network of all
    images but those of the series, which is measured there; and the network of all images, which is the detector.

    Parameters
    ----------
    data : Path
        Folder with ``nodule-patches``, ``nodule-slices`` and the series.
    out : Path
        Folder to write to.
    settings : NoduleTraining
        Length, rate and seed.
    patches_only : bool
        Whether to train one network on ``nodule-patches`` alone.
    on_progress : callable, optional
        Called with a stage's name, what is done and what there is to do.

    Raises
    ------
    TrainingError
        If a set is missing.
    """
    started = time.monotonic()
    sets = read_sets(data, seed=settings.seed, patches_only=patches_only)
    if patches_only:
        network = _trained("network", sets, settings, on_progress)
        return assemble(out, network, {}, sets, settings, time.monotonic() - started)
    base = _trained("base network", sets.without(MEASURED_ON), settings, on_progress)
    left_out = {
        uid: _trained(f"network without series {i}", sets.without([uid]), further(settings, i), on_progress, base)
        for i, uid in enumerate(MEASURED_ON, start=1)
    }
    network = _trained("network of all series", sets, further(settings, 0), on_progress, base)
    return assemble(out, network, left_out, sets, settings, time.monotonic() - started)


def further(settings: NoduleTraining, i: int) -> NoduleTraining:
    """Return the settings of a network that goes on from the base, with a seed of its own."""
    return replace(settings, steps=settings.more_steps, learning_rate=settings.lower_rate, seed=settings.seed + 10 + i)


def recalibrate(data: Path, folder: Path, out: Path) -> DetectorReport:
    """Calibrate and measure a detector anew, with its networks as they are: for candidates that have changed.

    Parameters
    ----------
    data : Path
        As for `pretrain_nodules`.
    folder, out : Path
        Folder that `pretrain_nodules` wrote, and that to write to; they may be the same.

    Raises
    ------
    TrainingError
        If the folder has no ``left-out.npz``.
    """
    detector = read_detector(folder)
    settings = NoduleTraining(**detector.card["training"])
    sets = read_sets(data, seed=settings.seed)
    return assemble(out, detector.networks[0].weights, _read_left_out(folder / LEFT_OUT_FILE), sets, settings, 0.0)


def assemble(
    out: Path,
    network: Weights,
    left_out: Mapping[str, Weights],
    sets: NoduleSets,
    settings: NoduleTraining,
    seconds: float,
) -> DetectorReport:
    """Calibrate a network, measure it and write the detector.

    Parameters
    ----------
    out : Path
        Folder to write to.
    network : mapping
        Its weights.
    left_out : mapping of str to mapping
        Weights of the network that was not trained on a series, by the series' UID.
    sets : NoduleSets
        All images.
    settings : NoduleTraining
        For the card.
    seconds : float
        Time of the training.
    """
    started = time.monotonic()
    card = detector_card({uid: _rounded(one) for uid, one in left_out.items()}, sets, settings)
    write_detector(out, [network], card)
    card = {**card, "patches": patches_of_card(read_detector(out), sets)}
    sha256 = write_detector(out, [network], card)
    _write_left_out(out / LEFT_OUT_FILE, left_out)
    return DetectorReport(out, sha256, read_detector(out).card, seconds + time.monotonic() - started)


def _trained(
    stage: str, sets: NoduleSets, settings: NoduleTraining, on_progress: Progress, start: Weights | None = None
) -> Weights:
    trained = train_detector(
        sets.sources, settings, start=start, on_progress=lambda _, done, total: on_progress(stage, done, total)
    )
    return trained.weights


def _rounded(weights: Weights) -> dict[str, Floats]:
    """Return weights as they are when they are read from a file."""
    return {name: array.astype(np.float16).astype(np.float32) for name, array in weights.items()}


def _write_left_out(file: Path, left_out: Mapping[str, Weights]) -> None:
    arrays = {f"{uid}/{name}": array.astype(np.float16) for uid, one in left_out.items() for name, array in one.items()}
    with whole_file(file) as draft, draft.open("wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]


def _read_left_out(file: Path) -> dict[str, dict[str, Floats]]:
    if not file.is_file():
        raise TrainingError(
            f"detector: must have {file.name} beside its weights to be calibrated anew, got none; "
            "train it with `lidcflow pretrain --nodules`"
        )
    found: dict[str, dict[str, Floats]] = {}
    with np.load(file, allow_pickle=False) as arrays:
        for key in arrays.files:
            uid, _, name = key.partition("/")
            found.setdefault(uid, {})[name] = arrays[key].astype(np.float32)
    return found
