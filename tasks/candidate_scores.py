"""Score the candidates of stored series on the cluster, and evaluate the scores by the annotations."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from lidcflow.config import Config
from lidcflow.errors import LabelError, ReleaseError, WeightsError
from lidcflow.labels.readings import Nodule
from lidcflow.learn.snapshot import Snapshot
from lidcflow.nodules.finding_figures import SeriesMarks, marks_of
from lidcflow.nodules.scored import ScoredCandidates, score_candidates
from lidcflow.nodules.stored import read_candidates
from lidcflow.release.answer import UnlikeTraining
from lidcflow.release.embedded import embedded_pin
from lidcflow.release.pins import FindingPin
from lidcflow.store.volumes import VolumeStore
from tasks.cluster.open import map_series
from tasks.findings import detector_of, malignancy_of
from tasks.labels import nodules_of_records
from tasks.progress import stage
from tasks.readings import readings_for
from tasks.tracking.place import Tracking

BATCH = 8
"""Series of one task on the cluster: a detector takes up to a second for each."""

Uids = tuple[str, ...]
Scored = dict[str, ScoredCandidates]


@dataclass(frozen=True, eq=False)
class CandidateEvidence:
    """Detector scores of series, in short.

    Parameters
    ----------
    best : dict of str to (slices, 2) array
        What the candidates say of each slice, by SeriesInstanceUID; a series that was not searched is absent.
    marks : dict of str to SeriesMarks
        What the candidates come to by the readings, for series with candidates and readings.
    """

    best: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    marks: Mapping[str, SeriesMarks] = field(default_factory=dict)

    def best_of(self, uids: Iterable[str]) -> list[NDArray[np.floating] | None]:
        """Return the best candidates of series in their order; None for one that was not searched."""
        return [self.best.get(uid) for uid in uids]

    def marks_of(self, uids: Iterable[str]) -> list[SeriesMarks | None]:
        """Return the marks of series in their order; None for one without."""
        return [self.marks.get(uid) for uid in uids]


Evidence = Mapping[str, CandidateEvidence]
"""Evidence by the key of the systems that score candidates, see `lidcflow.release.pins.FindingPin`."""

NO_EVIDENCE: Evidence = MappingProxyType({})
"""Evidence of a store without candidates."""

Readings = Mapping[str, Sequence[Nodule]]
"""Nodules of series that were read, by SeriesInstanceUID."""


def score_stored(pin: FindingPin, uids: Sequence[str], config: Config, address: str) -> Scored:
    """Score candidates of stored series with a detector, on the cluster; series that were not searched are absent."""
    work = functools.partial(score_batch, pin=pin, config=config)
    batches = [tuple(uids[start : start + BATCH]) for start in range(0, len(uids), BATCH)]
    scored: Scored = {}
    with stage("candidates", total=len(uids)) as progress:
        for batch, outcome in map_series(address, work, batches, window=2):
            if isinstance(outcome, Exception):
                raise outcome
            scored |= outcome
            progress.advance(len(batch))
    return scored


def score_batch(uids: Uids, pin: FindingPin, config: Config) -> Scored:
    """Score the candidates of some series, one after the other: patches of one take 8 MB."""
    store, tracking = VolumeStore.of(config), Tracking.of(config)
    detector, malignancy = detector_of(pin, tracking), malignancy_of(pin, tracking)
    found = ((uid, read_candidates(store, uid, cubes=malignancy is not None)) for uid in uids)
    return {
        uid: score_candidates(one, detector, malignancy, pin.threshold)
        for uid, one in found
        if one is not None and one.searched
    }


def best_by_series(
    scored: Mapping[str, ScoredCandidates], uids: Sequence[str], config: Config
) -> list[NDArray[np.floating] | None]:
    """Return the best candidate in each slice of stored series, in their order; None for one that was not searched."""
    found = [uid for uid in uids if uid in scored]
    edges_mm = {one.series_instance_uid: one.edges_mm for one in VolumeStore.of(config).summaries(found)}
    return [scored[uid].in_slices(edges_mm[uid]) if uid in edges_mm else None for uid in uids]


def unlike_training_scores(
    unlike: NDArray[np.bool_] | None, uids: Sequence[str], config: Config, address: str
) -> UnlikeTraining | None:
    """Score the series that are unlike those of training with the embedded release's detector.

    Parameters
    ----------
    unlike : (series,) array of bool, optional
        Which they are; None where nobody can say.
    uids : sequence of str
        All series.
    config : Config
        Where they are.
    address : str
        Of the cluster.

    Returns
    -------
    UnlikeTraining, or None
        None where no series is unlike those of training.
    """
    if unlike is None or not unlike.any():
        return None
    pin = embedded_pin(config.preprocess.slices)
    scored = score_stored(pin, [uid for uid, is_unlike in zip(uids, unlike, strict=True) if is_unlike], config, address)
    return UnlikeTraining(unlike, pin, best_by_series(scored, uids, config))


def evidence_of(scored: Mapping[str, ScoredCandidates], readings: Readings, config: Config) -> CandidateEvidence:
    """Sum up a detector's results for series, and evaluate them where there are annotations."""
    store = VolumeStore.of(config)
    best, marks = {}, {}
    for record in store.records(sorted(scored)):
        uid = record.series_instance_uid
        best[uid] = scored[uid].in_slices(record.edges_mm)
        if uid in readings:
            marks[uid] = marks_of(scored[uid], readings[uid], record)
    return CandidateEvidence(best, marks)


def evidence_for(
    pins: Iterable[FindingPin], uids: Sequence[str], readings: Readings, config: Config, address: str
) -> dict[str, CandidateEvidence]:
    """Ask several detectors about the same series, each once; one that is not at hand any more is left out."""
    evidence: dict[str, CandidateEvidence] = {}
    for pin in {pin.key: pin for pin in pins}.values():
        try:
            detector_of(pin, Tracking.of(config))
            malignancy_of(pin, Tracking.of(config))
        except (ReleaseError, WeightsError):
            continue
        evidence[pin.key] = evidence_of(score_stored(pin, uids, config, address), readings, config)
    return evidence


def held_out_labels(snapshot: Snapshot, *, folds: bool = False) -> dict[str, NDArray[np.integer]]:
    """Return the labels of the slices of each series that a release is measured on: with folds, of all."""
    rows = snapshot.table if folds else snapshot.table[snapshot.table["split"] != "train"]
    return {str(uid): of["label"].to_numpy() for uid, of in rows.groupby("series_instance_uid", sort=True)}


def readings_of(uids: Sequence[str], labels: NDArray[np.integer], config: Config) -> Readings:
    """Collect what readers marked in stored series; nothing where it is no longer what they were labelled with.

    Parameters
    ----------
    uids : sequence of str
        Series of a snapshot.
    labels : (series, slices) array of int
        What the snapshot says of their slices.
    config : Config
        Where the readings are.
    """
    store = VolumeStore.of(config)
    records = list(store.summaries(uids))
    try:
        with stage("readings") as reading:
            collected = readings_for(records, config, reading.reach, store.records)
        nodules_of_records(records, collected, config.labels, expected=labels)
    except LabelError:
        return {}
    return collected.nodules
