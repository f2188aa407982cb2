"""From 65 calibrated probabilities to the ranges of slices worth looking at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lidcflow.config import InferConfig
from lidcflow.dicom.orientation import view_flags
from lidcflow.errors import ReleaseError
from lidcflow.nodules.finding import Finding
from lidcflow.release.facts import ReleaseFacts
from lidcflow.report.ranges import select_ranges
from lidcflow.report.recommendation import (
    Probabilities,
    Reason,
    Recommendation,
    SeriesWarning,
    SliceReading,
    VolumeFacts,
    WeightedSourceImage,
)
from lidcflow.store.record import VolumeRecord
from lidcflow.volume.sectors import sector_of

__all__ = ["Recommendation", "ReleaseFacts", "not_evaluated", "recommend"]

HIGHEST_SLICES = 5

SUM_TOLERANCE = 1e-3
"""Float16 features and float32 heads leave sums this close to 1."""


def recommend(
    probabilities: NDArray[np.floating],
    record: VolumeRecord,
    release: ReleaseFacts,
    config: InferConfig,
    warnings: Sequence[SeriesWarning] = (),
    findings: Sequence[Finding] = (),
) -> Recommendation:
    """Rank the slices of a volume, and join the ones to look at into ranges within the review budget.

    Parameters
    ----------
    probabilities : (slices, 3) array of float
        Calibrated P(non-nodule), P(benign), P(malignant) of each slice, top of the chest first.
    record : VolumeRecord
        Where the slices lie and which source images they were made of.
    release : ReleaseFacts
        The release that made the probabilities; its threshold decides.
    config : InferConfig
        `slices` and `ranges` are the most that are recommended; the rest is counted.
    warnings : sequence of SeriesWarning
        In what the series is unlike those of training.
    findings : sequence of Finding
        What the detector found, best first: their slices are recommended before all others.

    Returns
    -------
    Recommendation
        With verdict ``ranges``, or ``nothing-above-threshold`` and the five highest slices.

    Raises
    ------
    ValueError
        If `probabilities` is not one distribution for each slice of the record, or `findings` are not ranked in their
        order or lie outside of the slices.
    ReleaseError
        If the volume was not preprocessed as the release was trained.
    """
    _check_probabilities(probabilities, len(record.sources))
    _check_findings(findings, len(record.sources))
    _check_preprocessing(record, release)
    read = without_blank(np.asarray(probabilities, dtype=np.float64), record.noticed.blank_slabs)
    slices = _read_slices(read, record, release.sector_num)
    selected = select_ranges(slices, findings, release.threshold_nodule, config)
    return Recommendation(
        study_instance_uid=record.study_instance_uid,
        series_instance_uid=record.series_instance_uid,
        synthetic=record.synthetic,
        release=release,
        verdict="ranges" if selected.ranges else "nothing-above-threshold",
        volume=_volume_facts(record),
        warnings=tuple(warnings),
        findings=tuple(findings),
        ranges=selected.ranges,
        ranges_left_out=selected.ranges_left_out,
        slices_left_out=selected.slices_left_out,
        highest_slices=() if selected.ranges else _highest(slices),
        slices=slices,
    )


def not_evaluated(
    series_instance_uid: str,
    study_instance_uid: str | None,
    reason: str,
    sentence: str,
    release: ReleaseFacts,
    *,
    synthetic: bool = False,
) -> Recommendation:
    """Answer for a series that could not be read, with the reason.

    Parameters
    ----------
    series_instance_uid, study_instance_uid : str
        Of the series; the study's may be unknown.
    reason : str
        A reason code, such as ``missing-slices``.
    sentence : str
        What must hold, what was found, what to do.
    release : ReleaseFacts
        The release in force.
    synthetic : bool
        Whether the images are synthetic.

    Examples
    --------
    >>> facts = ReleaseFacts(name="lidcflow", version=3, threshold_nodule=0.2, sector_num=5,
    ...     backbone_id="compact", preprocess_digest="0" * 64, synthetic=False)
    >>> not_evaluated("1.2.3", None, "too-few-slices", "needs 8 source slices, got 3", facts).verdict
    'not-evaluated'
    """
    return Recommendation(
        study_instance_uid=study_instance_uid,
        series_instance_uid=series_instance_uid,
        synthetic=synthetic,
        release=release,
        verdict="not-evaluated",
        reason=Reason(code=str(reason), sentence=sentence),
    )


def without_blank(probabilities: NDArray[np.float64], blank_slabs: Sequence[int]) -> NDArray[np.float64]:
    """Return probabilities in which slices that show nothing are no evidence of a nodule.

    Parameters
    ----------
    probabilities : (slices, 3) array of float
        Of each slice.
    blank_slabs : sequence of int
        Slices that show nothing, from 0.
    """
    if not blank_slabs:
        return probabilities
    evidence = probabilities.copy()
    evidence[list(blank_slabs)] = 1.0, 0.0, 0.0
    return evidence


def _highest(slices: Sequence[SliceReading]) -> tuple[SliceReading, ...]:
    read = [one for one in slices if not one.blank]
    return tuple(sorted(read, key=lambda one: one.rank)[:HIGHEST_SLICES])


def _check_probabilities(probabilities: NDArray[np.floating], n_slices: int) -> None:
    if probabilities.shape != (n_slices, 3):
        raise ValueError(f"probabilities: shape must be ({n_slices}, 3), got {probabilities.shape}")
    if not np.isfinite(probabilities).all() or (probabilities < 0).any():
        raise ValueError("probabilities: must be finite and not negative")
    worst = float(np.abs(probabilities.sum(axis=1) - 1).max())
    if worst > SUM_TOLERANCE:
        raise ValueError(f"probabilities: each slice's must sum to 1, got a sum {worst:.3g} away from it")


def _check_findings(findings: Sequence[Finding], n_slices: int) -> None:
    ranks = [finding.rank for finding in findings]
    if ranks != list(range(1, len(findings) + 1)):
        raise ValueError(f"findings: must be ranked from 1 in their order, got ranks {ranks}")
    lowest = max((finding.slice_number for finding in findings), default=1)
    if lowest > n_slices:
        raise ValueError(f"findings: each must lie in one of {n_slices} slices, got slice {lowest}")


def _check_preprocessing(record: VolumeRecord, release: ReleaseFacts) -> None:
    if record.config_digest != release.preprocess_digest:
        raise ReleaseError(
            f"series {record.series_instance_uid}: preprocessing must be that of release {release.version} "
            f"({release.preprocess_digest[:12]}), got {record.config_digest[:12]}; preprocess it as the release was"
        )


def _read_slices(probabilities: NDArray[np.float64], record: VolumeRecord, sector_num: int) -> tuple[SliceReading, ...]:
    edges_mm = record.edges_mm
    sectors = sector_of(len(probabilities), sector_num)
    blank = np.isin(np.arange(len(probabilities)), record.noticed.blank_slabs)
    ranks = _ranks(probabilities, blank)
    return tuple(
        SliceReading(
            slice_number=k + 1,
            sector=int(sectors[k]),
            rank=int(ranks[k]),
            z_top_mm=_mm(edges_mm[k]),
            z_bottom_mm=_mm(edges_mm[k + 1]),
            z_mm=_mm((edges_mm[k] + edges_mm[k + 1]) / 2),
            probabilities=_of_row(probabilities[k]),
            blank=bool(blank[k]),
            source_images=_source_images(record, k, blank=bool(blank[k])),
        )
        for k in range(len(probabilities))
    )


def _ranks(probabilities: NDArray[np.float64], blank: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Rank by P(nodule), then by P(malignant), then from the top, starting at 1; blank slices come last."""
    nodule, malignant = probabilities[:, 1] + probabilities[:, 2], probabilities[:, 2]
    order = np.lexsort((-malignant, -nodule, blank))
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[order] = np.arange(1, len(order) + 1)
    return ranks


def _of_row(row: NDArray[np.float64]) -> Probabilities:
    non_nodule, benign, malignant = (min(1.0, float(value)) for value in row)
    return Probabilities(non_nodule=non_nodule, benign=benign, malignant=malignant, nodule=min(1.0, benign + malignant))


def _source_images(record: VolumeRecord, k: int, *, blank: bool) -> tuple[WeightedSourceImage, ...]:
    """Name the source images of a slice, those that show nothing only where that is all it has to show."""
    images = (
        WeightedSourceImage(
            sop_instance_uid=source.sop_instance_uid,
            instance_number=source.instance_number,
            z_mm=_mm(source.z_mm),
            frame_number=source.frame_number,
            weight=min(1.0, float(source.weight)),
        )
        for source in record.sources[k]
        if blank or not record.is_blank(source)
    )
    return tuple(sorted(images, key=lambda image: -image.z_mm))


def _volume_facts(record: VolumeRecord) -> VolumeFacts:
    edges_mm = record.edges_mm
    return VolumeFacts(
        slices=len(record.sources),
        z_top_mm=_mm(edges_mm[0]),
        z_bottom_mm=_mm(edges_mm[-1]),
        slice_height_mm=_mm(edges_mm[0] - edges_mm[1]),
        source_slices=record.n_source_slices,
        slice_spacing_mm=_mm(record.slice_spacing_mm),
        rows=record.rows,
        columns=record.columns,
        row_spacing_mm=record.row_spacing_mm,
        column_spacing_mm=record.column_spacing_mm,
        orientation=_orientation(record),
        acquisition=dict(record.acquisition),
        flags=tuple(record.flags),
        preprocess_digest=record.config_digest,
        volume_digest=record.volume_digest,
    )


def _orientation(record: VolumeRecord) -> tuple[float, ...] | None:
    return record.axes.orientation if record.axes and view_flags(record.axes.orientation, None) else None


def _mm(value: float) -> float:
    """Round to 0.1 micrometres, so that the file shows -117.5 rather than -117.50000000000001."""
    return round(float(value), 4)
