"""A detector of one's own: trained on the store's candidates, judged against the embedded one, kept as files.

Importing this module imports no Keras: what trains is an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lidcflow.learn.candidate_rows import CandidateRows
from lidcflow.learn.kept_model import Facts, find_kept, kept_model, read_facts
from lidcflow.learn.own_choice import Choice, JudgedSeries, choose, fit_calibration
from lidcflow.learn.own_examples import Examples, choose_rows, read_examples, validation_series
from lidcflow.nodules.detector import (
    NARROW,
    WIDE,
    Calibration,
    Detector,
    calibrated,
    embedded_detector,
    read_detector,
    write_detector,
)
from lidcflow.nodules.detector_network import DetectorNetwork
from lidcflow.nodules.truth import Kind
from lidcflow.store.volumes import VolumeStore

Progress = Callable[[str, int, int], None]

Weights = Mapping[str, NDArray[np.float32]]


class OwnWeights(Protocol):
    """The result of a training, see `lidcflow.learn.own_training.OwnWeights`."""

    @property
    def networks(self) -> Sequence[Weights]:
        """Weights for narrow and for wide patches."""

    @property
    def loss(self) -> list[float]:
        """Of each step."""


TrainNetworks = Callable[..., OwnWeights]

LEAST_POSITIVES, LEAST_VALIDATION = 10, 5
"""Candidates in nodules that a training and its validation need; with fewer the embedded detector is used."""

LEAST_PATIENTS = 2
"""Validation patients with a candidate in a nodule: a calibration is judged on other patients than it was fitted to."""

TILES = 6
"""Examples of a kind that are kept for the montage."""

TILE_FILE = "tiles.npz"


class OwnFacts(Facts):
    """Facts kept of a trained detector beside its weights.

    Attributes
    ----------
    choice : Choice
        Whether it is better than the embedded one.
    loss : list of float
        Of each step.
    counts : dict of str to int
        Candidates and nodules that it was trained and judged on.
    """

    choice: Choice
    loss: list[float]
    counts: dict[str, int]


@dataclass(frozen=True, eq=False)
class Example:
    """A candidate for people to look at: its axial plane in HU, and what it is and was called."""

    kind: str
    hu: NDArray[np.int16]
    probability: float


@dataclass(frozen=True, eq=False)
class OwnDetector:
    """A trained detector, its facts, and candidates of validation patients to look at."""

    detector: Detector
    facts: OwnFacts
    examples: tuple[Example, ...]


def why_not_trained(rows: CandidateRows) -> str:
    """Return why a store has too little to train a detector on; empty where it has enough.

    Parameters
    ----------
    rows : CandidateRows
        All candidates of training and validation patients.
    """
    if rows.table.empty:
        return "the store has no nodule candidates of series with readings"
    training, validation = rows.positives("train"), rows.positives("validation")
    found = rows.of_split("validation")
    patients = found.loc[found["kind"] == Kind.NODULE, "patient_key"].nunique()
    if training >= LEAST_POSITIVES and validation >= LEAST_VALIDATION and patients >= LEAST_PATIENTS:
        return ""
    return (
        f"training a detector needs {LEAST_POSITIVES} candidates in nodules of training patients and "
        f"{LEAST_VALIDATION} of validation patients, {LEAST_PATIENTS} patients at least; the store has {training} and "
        f"{validation}, of {patients} validation patients"
    )


def fit_own_detector(
    rows: CandidateRows,
    store: VolumeStore,
    folder: Path,
    train: TrainNetworks,
    *,
    steps: int,
    seed: int,
    on_progress: Progress = lambda _stage, _done, _total: None,
) -> OwnDetector:
    """Train a detector and keep it, or return the one that an earlier attempt has kept.

    Parameters
    ----------
    rows : CandidateRows
        With enough of both kinds, see `why_not_trained`.
    store : VolumeStore
        Where the patches are.
    folder : Path
        Where the detector is kept.
    train : callable
        `lidcflow.learn.own_training.train_multi_view`.
    steps, seed : int
        Length and seed of the training.
    on_progress : callable, optional
        Called with a stage's name, what is done and what there is to do.

    Raises
    ------
    TrainingError
        If the candidates of a series have changed since they were judged.
    WeightsError
        If the embedded detector is missing or damaged.
    """
    if found := find_own(folder):
        return found
    chosen = read_examples(choose_rows(rows, seed=seed), store, lambda done, total: on_progress("patches", done, total))
    trained = train(
        chosen,
        embedded_detector().networks[0].weights,
        steps=steps,
        seed=seed,
        on_progress=lambda done, total: on_progress("steps", done, total),
    )
    draft = _draft_of(trained.networks)
    judged, planes = _judge(draft, rows, store)
    choice, calibration = choose(judged, seed=seed), fit_calibration(judged)
    counts = _counts(rows, chosen)
    facts = OwnFacts(lidcflow_version=installed_version("lidcflow"), choice=choice, loss=trained.loss, counts=counts)
    card = _card(calibration, facts, steps, seed)
    _keep(folder, trained.networks, card, facts, list(_examples(judged, planes, calibration)))
    return _read(folder)


def _draft_of(networks: Sequence[Weights]) -> Detector:
    """Return a detector of weights as they will be read from a file; its calibration is to come."""
    rounded = [{name: array.astype(np.float16).astype(np.float32) for name, array in one.items()} for one in networks]
    parts = tuple(DetectorNetwork(one) for one in rounded)
    return Detector(parts, Calibration(0.0, 1.0, 0.0, 0.5), {"widths": [NARROW, WIDE]}, "")


def _judge(
    own: Detector, rows: CandidateRows, store: VolumeStore
) -> tuple[list[JudgedSeries], list[NDArray[np.int16]]]:
    """Ask both detectors about the candidates of each validation series; return their axial planes too."""
    judged, planes, embedded = [], [], embedded_detector()
    for of_series, stored in validation_series(rows, store):
        score = stored.table["score"].astype(np.float64)
        judged.append(
            JudgedSeries(
                patient_key=str(of_series["patient_key"].iloc[0]),
                kind=of_series["kind"].to_numpy(),
                nodule=of_series["nodule"].to_numpy(),
                nodules=rows.nodules[str(of_series["series_instance_uid"].iloc[0])],
                score=score,
                logits=own.candidate_logits(stored.patches).astype(np.float64),
                embedded=embedded.probabilities(stored.patches, score),
            )
        )
        planes.append(stored.patches[:, NARROW, 0].copy())
    return judged, planes


def _counts(rows: CandidateRows, chosen: Examples) -> dict[str, int]:
    validation = rows.of_split("validation")
    uids = set(validation["series_instance_uid"])
    return {
        "training_nodule_candidates": int(chosen.nodule.sum()),
        "training_other_candidates": int((~chosen.nodule).sum()),
        "training_series": int(rows.of_split("train")["series_instance_uid"].nunique()),
        "validation_candidates": len(validation),
        "validation_nodule_candidates": rows.positives("validation"),
        "validation_nodules": sum(count for uid, count in rows.nodules.items() if uid in uids),
        "validation_series": len(uids),
        "validation_patients": int(validation["patient_key"].nunique()),
    }


def _card(calibration: Calibration, facts: OwnFacts, steps: int, seed: int) -> dict[str, Any]:
    return {
        "name": "lidcflow.nodules.detector",
        "widths": [NARROW, WIDE],
        "data": ["candidates of this store's training patients, from the weights of the embedded detector"],
        "split": "by patient, as the snapshot of the training",
        "training": {"steps": steps, "seed": seed, "embedded": embedded_detector().sha256},
        "candidates": facts.counts,
        "figures": {name: one.model_dump() for name, one in facts.choice.figures.items()},
        "calibration": {**vars(calibration)},
    }


def _examples(
    judged: Sequence[JudgedSeries], planes: Sequence[NDArray[np.int16]], calibration: Calibration
) -> Iterator[Example]:
    """Choose candidates to look at: nodules found, nodules missed, and others that were called nodules."""
    p = np.concatenate([calibrated(one.logits, one.score, calibration) for one in judged])
    kind, hu = np.concatenate([one.kind for one in judged]), np.concatenate(list(planes))
    order, called = np.argsort(-p, kind="stable"), p >= calibration.threshold
    kinds = {
        "nodules, found": order[(kind == Kind.NODULE)[order] & called[order]],
        "nodules, missed": order[(kind == Kind.NODULE)[order] & ~called[order]][::-1],
        "no nodule, most probable": order[(kind == Kind.NEGATIVE)[order]],
    }
    for name, places in kinds.items():
        yield from (Example(name, hu[i], float(p[i])) for i in places[:TILES].tolist())


def _keep(
    folder: Path,
    networks: Sequence[Weights],
    card: Mapping[str, Any],
    facts: OwnFacts,
    examples: Sequence[Example],
) -> None:
    """Write a detector into a folder, whole or not at all; no pickle."""
    with kept_model(folder, facts) as draft:
        write_detector(draft, list(networks), card)
        np.savez(
            draft / TILE_FILE,
            hu=np.stack([one.hu for one in examples]),
            kind=np.array([one.kind for one in examples]),
            probability=np.array([one.probability for one in examples]),
        )


def find_own(folder: Path) -> OwnDetector | None:
    """Read a kept detector; None where there is none, or one that changed or is of another version of lidcflow.

    It is trained again then.
    """
    return find_kept(folder, _read)


def _read(folder: Path) -> OwnDetector:
    facts = read_facts(folder, OwnFacts)
    with np.load(folder / TILE_FILE, allow_pickle=False) as kept:
        columns = (kept["kind"].tolist(), kept["hu"], kept["probability"].tolist())
    return OwnDetector(read_detector(folder), facts, tuple(Example(*one) for one in zip(*columns, strict=True)))
