"""Measure a release and its baselines on held-out studies."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
from sklearn.metrics import confusion_matrix

from lidcflow.evaluate.contestants import Answers, Entry, entries_of
from lidcflow.evaluate.froc import froc, operating_point
from lidcflow.evaluate.record import Bin, Contestant, ReleaseEvaluation, SectorFigures, SliceFigures
from lidcflow.evaluate.review import found_at_even_steps, found_by_rank, patients_of_nodules, review_figures
from lidcflow.evaluate.slices import Rows, at_equal_shares, slice_figures
from lidcflow.evaluate.subgroups import subgroups
from lidcflow.evaluate.truth import HeldOutStudies
from lidcflow.learn.bootstrap import Floats, draw_patients
from lidcflow.learn.calibration import calibration_bins
from lidcflow.learn.release import ClassCounts, ReleaseRecord

SEED = 0
RESAMPLES = 1000


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
        contestants=tuple(_contestant(entry, truth, answers.shares, draws) for entry in entries),
        operating_point=operating_point(p_nodule, release.threshold_nodule, truth, draws),
        sectors=_sectors(release, truth, answers, draws),
        subgroups=subgroups(truth, answers.release, sector_num=release.sector_num, seed=SEED, resamples=resamples),
    )


def _contestant(entry: Entry, truth: HeldOutStudies, shares: Floats, draws: Floats) -> Contestant:
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
    entry = Entry("release", "", "", answers.release)
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


def _maker(entry: Entry, truth: HeldOutStudies, inside: slice) -> Callable[[Floats | None], Rows]:
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
    matrix = confusion_matrix(rows.labels, rows.probabilities.argmax(axis=1), labels=[0, 1, 2])
    return tuple((int(none), int(benign), int(malignant)) for none, benign, malignant in matrix)


def _reliability(rows: Rows) -> tuple[Bin, ...]:
    if rows.probabilities is None:
        return ()
    p, nodule = rows.scores["nodule"], rows.labels > 0
    bins = calibration_bins(p)
    chosen = [bins == one for one in np.unique(bins)]
    return tuple(
        Bin(called=float(p[one].mean()), there=float(nodule[one].mean()), slices=int(one.sum())) for one in chosen
    )
