"""A malignancy system of one's own: trained on the store's nodules, judged against the embedded one, kept as files.

Importing this module imports no Keras: what trains networks is an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from lidcflow.config.science import MALIGNANT_AT
from lidcflow.errors import WeightsError
from lidcflow.learn.kept_model import Facts, find_kept, kept_model, read_facts
from lidcflow.learn.own_choice import Choice
from lidcflow.learn.own_malignancy_card import KNOWN, NAMES, card_of, counts_of
from lidcflow.learn.own_malignancy_choice import Judged, choose_malignancy, fit_score_calibration
from lidcflow.learn.own_malignancy_examples import RatedViews
from lidcflow.learn.own_malignancy_systems import FITS, fit_size
from lidcflow.nodules.malignancy import embedded_malignancy, read_malignancy
from lidcflow.nodules.malignancy_scores import ANSWER, SCORES, Arrays
from lidcflow.nodules.malignancy_system import MalignancySystem, write_system
from lidcflow.privacy import PUBLIC_KEY

Progress = Callable[[str, int, int], None]


class Networks(Protocol):
    """The result of a training, see `lidcflow.learn.own_malignancy_training.MalignancyNetworks`."""

    @property
    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """Weights by their names."""

    @property
    def loss(self) -> list[float]:
        """Of each step."""


Train = Callable[..., Networks]

WITH_NETWORKS = frozenset({"nodulex", "triplanar"})
"""Kinds that Keras trains; the others need none."""

STEPS = {"nodulex": 600, "triplanar": 400}
"""Steps that are enough for some 2,000 nodules."""


class OwnMalignancyFacts(Facts):
    """Facts kept of a trained system beside its weights.

    Attributes
    ----------
    kind : str
    choice : Choice
        Whether it is better than the embedded one.
    loss : list of float
        Of each step; empty for a system without a network.
    counts : dict of str to int
        Nodules and patients that it was trained and judged on.
    """

    kind: str
    choice: Choice
    loss: list[float]
    counts: dict[str, int]


@dataclass(frozen=True, eq=False)
class OwnMalignancy:
    """A trained system and its facts."""

    model: MalignancySystem
    facts: OwnMalignancyFacts


def fit_own_malignancy(
    kind: str,
    training: RatedViews,
    validation: RatedViews,
    folder: Path,
    train: Train | None,
    *,
    steps: int,
    seed: int,
    malignant_at: float = MALIGNANT_AT,
    secret: bytes = PUBLIC_KEY,
    on_progress: Progress = lambda _stage, _done, _total: None,
) -> OwnMalignancy:
    """Train a system and keep it, or return the one that an earlier attempt has kept.

    Parameters
    ----------
    kind : str
        One of `lidcflow.learn.own_malignancy_card.NAMES`.
    training, validation : RatedViews
        With enough of both kinds, see `lidcflow.learn.own_malignancy_examples.why_not_trained`.
    folder : Path
        Where the system is kept.
    train : callable, optional
        `lidcflow.learn.own_malignancy_training.train_malignancy`; only kinds in `WITH_NETWORKS` need it.
    steps, seed : int
        Length of a network's training, and the seed of all that is drawn.
    malignant_at : float
        Mean rating from which a nodule counts as malignant.
    secret : bytes
        Key of the store's patient pseudonyms, by which patients that the embedded system was trained on are known.
    on_progress : callable, optional
        Called with a stage's name, what is done and what there is to do.

    Raises
    ------
    WeightsError
        If an embedded model is missing or damaged.
    ValueError
        If a kind with networks is to be trained without `train`.
    """
    if found := find_own_malignancy(folder):
        return found
    options = {"malignant_at": malignant_at, "steps": steps, "seed": seed}
    networks = _networks(kind, train, training, options, on_progress)
    arrays = FITS[kind](training, training.rating >= malignant_at, networks.arrays, seed)
    judged = _judged(kind, arrays, training, validation, malignant_at)
    counts = counts_of(training, validation, malignant_at, secret)
    choice = choose_malignancy(
        judged, kind=kind, name=NAMES[kind], malignant_at=malignant_at, known=counts[KNOWN], seed=seed
    )
    told = {
        "nodules": counts,
        "calibration": fit_score_calibration(judged.score, judged.rating >= malignant_at),
        "figures": {name: one.model_dump() for name, one in choice.figures.items()},
    }
    facts = OwnMalignancyFacts(
        lidcflow_version=installed_version("lidcflow"), kind=kind, choice=choice, loss=networks.loss, counts=counts
    )
    _keep(
        folder, arrays, card_of(kind, training, told, {"steps": len(networks.loss), "seed": seed}, malignant_at), facts
    )
    return _kept(folder)


@dataclass(frozen=True, eq=False)
class _NoNetworks:
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    loss: list[float] = field(default_factory=list)


def _networks(
    kind: str, train: Train | None, training: RatedViews, options: Mapping[str, Any], on_progress: Progress
) -> Networks:
    if kind not in WITH_NETWORKS:
        return _NoNetworks()
    if train is None:
        raise ValueError(f"train: must be what trains the networks of {kind}, got none")
    return train(kind, training, **options, on_progress=lambda done, steps: on_progress("steps", done, steps))


def _judged(kind: str, arrays: Arrays, training: RatedViews, validation: RatedViews, malignant_at: float) -> Judged:
    scores = SCORES[kind](arrays, validation.views)
    size = fit_size(training, training.rating >= malignant_at, {}, 0)
    return Judged(
        patient=validation.patient,
        rating=validation.rating,
        score=scores.pop(ANSWER),
        parts=scores,
        size_score=SCORES["size"](size, validation.views)[ANSWER],
        embedded=embedded_malignancy().probabilities(validation.views),
    )


def _keep(folder: Path, arrays: Arrays, card: Mapping[str, Any], facts: OwnMalignancyFacts) -> None:
    """Write a system into a folder, whole or not at all; no pickle."""
    with kept_model(folder, facts) as draft:
        write_system(draft, arrays, card)


def find_own_malignancy(folder: Path) -> OwnMalignancy | None:
    """Read a kept system; None where there is none, or one that changed or is of another version of lidcflow.

    It is trained again then.
    """
    return find_kept(folder, _kept)


def _kept(folder: Path) -> OwnMalignancy:
    model = read_malignancy(folder)
    if not isinstance(model, MalignancySystem):
        raise WeightsError(f"malignancy model: must have been trained on a store, got {model.name}; train again")
    return OwnMalignancy(model, read_facts(folder, OwnMalignancyFacts))
