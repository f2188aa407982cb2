"""Measure a release and its baselines on held-out studies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from lidcflow.evaluate.froc import froc, range_figures
from lidcflow.evaluate.record import Bin, Contestant, ReleaseEvaluation, SectorFigures, SliceFigures
from lidcflow.evaluate.review import found_at_even_steps, found_by_rank, patients_of_nodules, review_figures
from lidcflow.evaluate.slice_metrics import Rows, at_equal_shares, slice_figures
from lidcflow.evaluate.subgroups import subgroups
from lidcflow.evaluate.truth import HeldOutStudies
from lidcflow.nodules.finding_figures import FindingDraws, SeriesMarks
from lidcflow.release.record import ReleaseRecord
from lidcflow.stats.bootstrap import RESAMPLES, Floats, draw_patients
from lidcflow.stats.calibration import reliability
from lidcflow.stats.estimate import ClassCounts, FindingFigures
from lidcflow.stats.metrics import confusion

ORACLE = (
    "not a model: ranks slices by the true size of their largest nodule, a hint at what is in reach; "
    "it takes all slices of a large nodule first, and a small one beside it comes late"
)

SEED = 0


@dataclass(frozen=True, eq=False)
class Contender:
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
        """The scores that rank slices for a nodule; None if there are none."""
        return self.score if self.probabilities is None else self.probabilities[..., 1:].sum(axis=-1)


@dataclass(frozen=True, eq=False)
class Answers:
    """Probabilities on the held-out studies.

    Parameters
    ----------
    release, everywhere : (studies, slices, 3) arrays
        Of the release, and of the one model for all sectors with the same data and compute.
    prior : (slices, 3) array, or one for each study
        From `lidcflow.stats.held_out.sector_prior`.
    height : (slices, 3) array, or one for each study
        From `lidcflow.stats.height_prior.height_prior`.
    shares : (3,) array
        Class shares of the training patients.
    sectors, findings : (studies, slices, 3) arrays, optional
        Of the release's sector models alone, and of its findings joined with the height in the chest alone; None for a
        release without findings.
    marks : (studies,) sequence, optional
        What its candidates come to by the readings, None for a study without candidates.
    """

    release: Floats
    everywhere: Floats
    prior: Floats
    height: Floats
    shares: Floats
    sectors: Floats | None = None
    findings: Floats | None = None
    marks: Sequence[SeriesMarks | None] = ()


def entries_of(answers: Answers, truth: HeldOutStudies, *, seed: int) -> list[Contender]:
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
    prior, height = (np.broadcast_to(one, answers.release.shape) for one in (answers.prior, answers.height))
    shuffled = np.random.default_rng(seed).random(truth.labels.shape)
    everywhere = "the same patients, features and settings, without sectors"
    return [
        *_of_release(answers),
        Contender("global", "one global model", everywhere, answers.everywhere),
        Contender("sector_prior", "sector prior", "how often each of 13 sectors held what, in training", prior),
        Contender(
            "height_prior", "chest-height prior", "how often each height of the chest held what, in training", height
        ),
        Contender("uniform", "even steps", "N slices at even distances, without a look at the images"),
        Contender("random", "random", "slices in a random order", score=shuffled),
        Contender("size_oracle", "size-only oracle", ORACLE, score=size_scores(truth)),
    ]


def _of_release(answers: Answers) -> list[Contender]:
    """List the release first, then its parts where it has more than sector models."""
    sectors = "the sector models of this release together"
    if answers.sectors is None or answers.findings is None:
        return [Contender("release", "release", sectors, answers.release)]
    return [
        Contender("release", "release", "sector models and findings, joined", answers.release),
        Contender("sector_models", "sector models alone", sectors, answers.sectors),
        Contender("findings", "findings alone", "its findings and the height in the chest, joined", answers.findings),
    ]


def size_scores(truth: HeldOutStudies) -> Floats:
    """Score each slice by the size of its largest nodule in mm, 0 without one: (studies, slices)."""
    scores = np.zeros(truth.labels.shape)
    for of_study, nodules in zip(scores, truth.findings, strict=True):
        for one in nodules:
            inside = list(one.slices)
            of_study[inside] = np.maximum(of_study[inside], one.size_mm)
    return scores


def measure(
    release: ReleaseRecord, split: str, truth: HeldOutStudies, answers: Answers, *, resamples: int = RESAMPLES
) -> ReleaseEvaluation:
    """Compute every figure of an evaluation.

    Parameters
    ----------
    release : ReleaseRecord
        The release.
    split : str
        ``test`` or ``validation``.
    truth : HeldOutStudies
        What is true of the studies of the split.
    answers : Answers
        What the models say of them.
    resamples : int
        Draws of the bootstrap.
    """
    draws = draw_patients(truth.patient_count, seed=SEED, resamples=resamples)
    entries = entries_of(answers, truth, seed=SEED)
    p_nodule = answers.release[..., 1:].sum(axis=-1)
    return ReleaseEvaluation(
        release=release.name,
        version=release.version,
        split=split,
        created=datetime.now(UTC),
        synthetic=release.synthetic,
        sector_num=release.sector_num,
        backbone_id=release.backbone.id,
        snapshot_digest=release.snapshot_digest,
        threshold_nodule=release.threshold_nodule,
        seed=SEED,
        resamples=resamples,
        patients=truth.patient_count,
        series=len(truth.labels),
        nodules=sum(map(len, truth.findings)),
        slices_per_study=truth.labels.shape[1],
        folds=len(release.folds),
        contestants=tuple(_contestant(entry, truth, answers.shares, draws) for entry in entries),
        operating_point=range_figures(p_nodule, release.threshold_nodule, truth, draws),
        sectors=_sectors(release, truth, answers, draws),
        findings=_findings(release, truth, answers, draws),
        subgroups=subgroups(truth, answers.release, sector_num=release.sector_num, seed=SEED, resamples=resamples),
    )


def _findings(release: ReleaseRecord, truth: HeldOutStudies, answers: Answers, draws: Floats) -> FindingFigures | None:
    """Measure the findings of a release that has some."""
    if release.nodules is None or not answers.marks:
        return None
    return FindingDraws(answers.marks, truth.patients, draws).figures(release.nodules.threshold)


def _contestant(entry: Contender, truth: HeldOutStudies, shares: Floats, draws: Floats) -> Contestant:
    patients = patients_of_nodules(truth.patients, truth.findings)
    score = entry.ranking
    if score is None:
        found = found_at_even_steps(truth.labels.shape[1], truth.findings)
        figures = review_figures(found, patients, draws)
        return Contestant(key=entry.key, title=entry.title, note=entry.note, slices=None, nodules=figures)
    ranges = froc(score, truth, draws)
    return Contestant(
        key=entry.key,
        title=entry.title,
        note=entry.note,
        slices=_slices(_maker(entry, truth, slice(None)), shares, draws),
        nodules=review_figures(found_by_rank(score, truth.findings), patients, draws) | ranges.figures,
        curve=tuple((float(rate), float(reached)) for rate, reached in ranges.curve),
    )


def _sectors(
    release: ReleaseRecord, truth: HeldOutStudies, answers: Answers, draws: Floats
) -> tuple[SectorFigures, ...]:
    entry = Contender("release", "", "", answers.release)
    return tuple(
        SectorFigures(
            sector=pin.sector,
            first_slice=pin.first_slice,
            last_slice=pin.last_slice,
            fallback=pin.fallback,
            slices=_slices(_maker(entry, truth, slice(pin.slices.start, pin.slices.stop)), answers.shares, draws),
        )
        for pin in release.sectors
    )


def _maker(entry: Contender, truth: HeldOutStudies, inside: slice) -> Callable[[Floats | None], Rows]:
    """Return a function that lays the slices of a contestant out in rows, at the class shares given if any."""
    labels = truth.labels[:, inside]
    patients = np.repeat(truth.patients, labels.shape[1])

    def rows(shares: Floats | None) -> Rows:
        if entry.probabilities is None:
            score = np.asarray(entry.score)[:, inside].ravel()
            return Rows(labels.ravel(), patients, {"nodule": score, "malignant": score})
        p = entry.probabilities[:, inside].reshape(-1, 3)
        return Rows.of(p if shares is None else at_equal_shares(p, shares), labels.ravel(), patients)

    return rows


def _slices(rows_at: Callable[[Floats | None], Rows], shares: Floats, draws: Floats) -> SliceFigures:
    natural = rows_at(None)
    return SliceFigures(
        slices=ClassCounts.of(natural.labels),
        natural=slice_figures(natural, draws, balanced=False),
        balanced=slice_figures(rows_at(shares), draws, balanced=True),
        confusion=_confusion(natural),
        reliability=_reliability(natural),
    )


def _confusion(rows: Rows) -> tuple[tuple[int, int, int], ...]:
    if rows.probabilities is None:
        return ()
    none, benign, malignant = confusion(rows.probabilities, rows.labels).tolist()
    return tuple(none), tuple(benign), tuple(malignant)


def _reliability(rows: Rows) -> tuple[Bin, ...]:
    if rows.probabilities is None:
        return ()
    return tuple(Bin(**one._asdict()) for one in reliability(rows.scores["nodule"], rows.labels))
