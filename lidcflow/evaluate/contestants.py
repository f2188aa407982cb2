"""Who is measured: the release, and the baselines that put its figures into proportion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lidcflow.evaluate.truth import HeldOutStudies
from lidcflow.learn.bootstrap import Floats


@dataclass(frozen=True, eq=False)
class Entry:
    """A contestant before it is measured.

    Parameters
    ----------
    key, title, note : str
        For programs, for people, and what it is.
    probabilities : (studies, slices, 3) array, optional
        Calibrated, where it says any.
    score : (studies, slices) array, optional
        Where it ranks slices only; one without both reviews slices at even steps.
    """

    key: str
    title: str
    note: str
    probabilities: Floats | None = None
    score: Floats | None = None

    @property
    def ranking(self) -> Floats | None:
        """What ranks its slices for a nodule, if anything does."""
        return self.score if self.probabilities is None else self.probabilities[..., 1:].sum(axis=-1)


@dataclass(frozen=True, eq=False)
class Answers:
    """Probabilities on the held-out studies.

    Parameters
    ----------
    release, everywhere : (studies, slices, 3) arrays
        Of the release, and of the one model for all sectors with the same data and compute.
    prior : (slices, 3) array
        From `lidcflow.learn.baselines.sector_prior`.
    shares : (3,) array
        Class shares of the training patients.
    """

    release: Floats
    everywhere: Floats
    prior: Floats
    shares: Floats


def entries_of(answers: Answers, truth: HeldOutStudies, *, seed: int) -> list[Entry]:
    """List the release, then the baselines.

    Parameters
    ----------
    answers : Answers
        What models and prior say.
    truth : HeldOutStudies
        What the oracle knows.
    seed : int
        Of the random ranking.
    """
    prior = np.broadcast_to(answers.prior, answers.release.shape)
    shuffled = np.random.default_rng(seed).random(truth.labels.shape)
    everywhere = "the same patients, features and settings, without sectors"
    return [
        Entry("release", "release", "the sector models of this release together", answers.release),
        Entry("global", "one global model", everywhere, answers.everywhere),
        Entry("sector_prior", "sector prior", "how often each of 13 sectors held what, in training", prior),
        Entry("uniform", "even steps", "N slices at even distances, without a look at the images"),
        Entry("random", "random", "slices in a random order", score=shuffled),
        Entry("size_oracle", "size-only oracle", ORACLE, score=size_scores(truth)),
    ]


ORACLE = (
    "not a model: ranks slices by the true size of their largest nodule, a hint at what is in reach; "
    "it takes all slices of a large nodule first, and a small one beside it comes late"
)


def size_scores(truth: HeldOutStudies) -> Floats:
    """Score each slice by the size of its largest nodule in mm, 0 without one: (studies, slices)."""
    scores = np.zeros(truth.labels.shape)
    for of_study, nodules in zip(scores, truth.findings, strict=True):
        for one in nodules:
            inside = list(one.slices)
            of_study[inside] = np.maximum(of_study[inside], one.size_mm)
    return scores
