"""A segmenter of one's own: trained on the store's cubes and readers' outlines, judged against the embedded one.

Importing this module imports no Keras: what trains is an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lidcflow.learn.kept_model import Facts, find_kept, kept_model, read_facts
from lidcflow.learn.nodule_rows import NoduleRows
from lidcflow.learn.own_choice import Choice
from lidcflow.learn.own_outline_choice import choose_segmenter, score_outline
from lidcflow.learn.own_outlines import JudgedNodule, OutlinedCubes, judged_nodules, outlined_rows, read_outlined
from lidcflow.nodules.segmenter import Network, Segmenter, embedded_segmenter, read_segmenter, write_segmenter
from lidcflow.nodules.segmenter_network import Floats, SegmenterNetwork
from lidcflow.store.volumes import VolumeStore

Weights = Mapping[str, NDArray[np.float32]]
TrainSegmenter = Callable[..., Mapping[str, NDArray[np.float32]]]
Progress = Callable[[str, int, int], None]

LEAST_CUBES, LEAST_VALIDATION, LEAST_PATIENTS = 30, 5, 2
"""Outlined nodules that a training and its validation need, and validation patients with one."""

SHIFTS = (0.0, 0.5, 1.0)
"""Added to the logits: that with the best mean Dice on some cubes trained on is kept, for views blur the masks."""

SHIFT_CUBES = 24


class OwnFacts(Facts):
    """Facts kept of a trained segmenter beside its weights.

    Attributes
    ----------
    choice : Choice
        Whether it is better than the embedded one.
    counts : dict of str to int
        Nodules, series and patients that it was trained and judged on.
    """

    choice: Choice
    counts: dict[str, int]


@dataclass(frozen=True, eq=False)
class OwnSegmenter:
    """A trained segmenter and its facts."""

    segmenter: Segmenter
    facts: OwnFacts


def why_no_segmenter(rows: NoduleRows) -> str:
    """Return why a store has too few outlines to train a segmenter on; empty where it has enough.

    Parameters
    ----------
    rows : NoduleRows
    """
    training, validation = (outlined_rows(rows, split) for split in ("train", "validation"))
    patients = validation["patient_key"].nunique()
    if len(training) >= LEAST_CUBES and len(validation) >= LEAST_VALIDATION and patients >= LEAST_PATIENTS:
        return ""
    if rows.table.empty and rows.left_out["without_outline"]:
        return (
            f"the readings have no outlines ({rows.left_out['without_outline']} nodules without one), which a "
            "segmenter learns from"
        )
    return (
        f"training a segmenter needs {LEAST_CUBES} nodules of training patients that three readers outlined and a cube "
        f"shows, and {LEAST_VALIDATION} of validation patients, {LEAST_PATIENTS} patients at least; the store has "
        f"{len(training)} and {len(validation)}, of {patients} validation patients{_left_out(rows)}"
    )


def _left_out(rows: NoduleRows) -> str:
    without = rows.left_out["without_cubes"]
    return f" ({without} series have no cubes; `lidcflow preprocess` adds them)" if without else ""


def fit_own_segmenter(
    rows: NoduleRows,
    store: VolumeStore,
    folder: Path,
    train: TrainSegmenter,
    *,
    steps: int,
    seed: int,
    on_progress: Progress = lambda _stage, _done, _total: None,
) -> OwnSegmenter:
    """Train a segmenter and keep it, or return the one that an earlier attempt has kept.

    Parameters
    ----------
    rows : NoduleRows
        With enough outlines, see `why_no_segmenter`.
    store : VolumeStore
        Where the cubes are.
    folder : Path
        Where the segmenter is kept.
    train : callable
        Takes cubes, the weights to start from, steps and seed: `lidcflow.learn.segmenter_training.train_own_segmenter`.
    steps, seed : int
        Length and seed of the training.
    on_progress : callable, optional
        Called with a stage's name, what is done and what there is to do.

    Raises
    ------
    TrainingError
        If the candidates of a series have changed since its nodules were found.
    WeightsError
        If the embedded segmenter is missing or damaged.
    """
    if found := find_own_segmenter(folder):
        return found
    embedded = embedded_segmenter()
    training = outlined_rows(rows, "train")
    cubes = read_outlined(
        training, rows, store, seed=seed, on_progress=lambda done, total: on_progress("cubes", done, total)
    )
    weights = train(
        cubes,
        embedded.network.weights,
        steps=steps,
        seed=seed,
        on_progress=lambda done, total: on_progress("steps", done, total),
    )
    some = training.sample(min(SHIFT_CUBES, len(training)), random_state=seed).sort_index()
    shift, weights = best_shift(weights, list(judged_nodules(some, rows, store)))
    validation = outlined_rows(rows, "validation")
    choice = choose_segmenter(_draft_of(weights), embedded, judged_nodules(validation, rows, store), seed=seed)
    counts = _counts(training, validation, cubes)
    facts = OwnFacts(lidcflow_version=installed_version("lidcflow"), choice=choice, counts=counts)
    _keep(folder, weights, _card(facts, embedded, {"steps": steps, "seed": seed, "shift": shift}), facts)
    return _read(folder)


def best_shift(weights: Weights, nodules: list[JudgedNodule]) -> tuple[float, Weights]:
    """Return which of `SHIFTS` outlines nodules best, and the weights with it."""
    network = _draft_of(weights).network
    dice = np.mean([_dice_with_shifts(network, one) for one in nodules], axis=0)
    best = SHIFTS[int(dice.argmax())]
    return best, {**weights, "logits/bias": weights["logits/bias"] + np.float32(best)}


def _dice_with_shifts(network: Network, nodule: JudgedNodule) -> list[float]:
    """Return the Dice of a nodule's outline with each of `SHIFTS`."""
    known: dict[tuple[bytes, float], Floats] = {}
    return [score_outline(Segmenter(_Shifted(network, shift, known), {}, ""), nodule).dice for shift in SHIFTS]


@dataclass(frozen=True)
class _Shifted:
    """A network whose logits are shifted; the unshifted ones are computed once for several shifts."""

    network: Network
    shift: float
    known: dict[tuple[bytes, float], Floats]

    @property
    def weights(self) -> Weights:
        return self.network.weights

    def __call__(self, grey: NDArray[np.uint8] | Floats, pitch_mm: float) -> Floats:
        view = grey.tobytes(), pitch_mm
        if view not in self.known:
            self.known[view] = self.network(grey, pitch_mm)
        return self.known[view] + np.float32(self.shift)


def _draft_of(weights: Weights) -> Segmenter:
    """Return a segmenter of weights as they will be read from a file."""
    rounded = {name: array.astype(np.float16).astype(np.float32) for name, array in weights.items()}
    return Segmenter(SegmenterNetwork(rounded), {}, "")


def _counts(training: pd.DataFrame, validation: pd.DataFrame, cubes: OutlinedCubes) -> dict[str, int]:
    return {
        "training_nodules": len(cubes),
        "training_series": int(training["series_instance_uid"].nunique()),
        "validation_nodules": len(validation),
        "validation_patients": int(validation["patient_key"].nunique()),
    }


def _card(facts: OwnFacts, embedded: Segmenter, training: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": "lidcflow.nodules.segmenter",
        "data": ["readers' outlines of this store's training patients, from the weights of the embedded segmenter"],
        "split": "by patient, as the snapshot of the training",
        "training": {**training, "embedded": embedded.sha256},
        "nodules": facts.counts,
        "figures": {name: one.model_dump() for name, one in facts.choice.figures.items()},
    }


def _keep(folder: Path, weights: Weights, card: Mapping[str, Any], facts: OwnFacts) -> None:
    """Write a segmenter into a folder, whole or not at all; no pickle."""
    with kept_model(folder, facts) as draft:
        write_segmenter(draft, weights, card)


def find_own_segmenter(folder: Path) -> OwnSegmenter | None:
    """Read a kept segmenter; None where there is none, or one that changed or is of another version of lidcflow."""
    return find_kept(folder, _read)


def _read(folder: Path) -> OwnSegmenter:
    return OwnSegmenter(read_segmenter(folder), read_facts(folder, OwnFacts))
