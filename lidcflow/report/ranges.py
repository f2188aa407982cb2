"""Ranges of slices to look at: neighbours at or above a threshold or with a finding, within a review budget."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lidcflow.config import InferConfig
from lidcflow.nodules.finding import Finding
from lidcflow.report.budget import choose_slices, runs_of
from lidcflow.report.recommendation import Recommendation, SliceRange, SliceReading, SourceImage


class Selection(NamedTuple):
    """Ranges to look at, best first, and what the budget leaves out: whole ranges, and slices in all."""

    ranges: tuple[SliceRange, ...]
    ranges_left_out: int
    slices_left_out: int


def ranges_above(p_nodule: NDArray[np.floating], threshold: float) -> list[range]:
    """Merge neighbouring slices at or above a threshold into ranges.

    Parameters
    ----------
    p_nodule : (slices,) array
        Probability of a nodule, top of the chest first.
    threshold : float
        From which a slice is in a range.

    Returns
    -------
    list of range
        Slices from 0, top first.

    Examples
    --------
    >>> ranges_above(np.array([0.9, 0.8, 0.1, 0.7]), 0.7)
    [range(0, 2), range(3, 4)]
    """
    above = np.concatenate(([False], np.asarray(p_nodule) >= threshold, [False]))
    ends = np.flatnonzero(above[1:] != above[:-1])
    return [range(first, stop) for first, stop in ends.reshape(-1, 2).tolist()]


def select_ranges(
    slices: Sequence[SliceReading], findings: Sequence[Finding], threshold: float, config: InferConfig
) -> Selection:
    """Select the ranges to look at: those with findings first, by their best one, then by their peaks.

    Parameters
    ----------
    slices : sequence of SliceReading
        All slices, top of the chest first.
    findings : sequence of Finding
        Best first.
    threshold : float
        P(nodule) at or above which a slice is recommended; one that holds a finding always is.
    config : InferConfig
        `slices` and `ranges` are the most that are recommended.
    """
    eligible = _eligible(slices, findings, threshold)
    runs = runs_of(eligible)
    chosen = choose_slices(
        _seeds(runs, slices, findings), eligible, _order(slices, findings), slices=config.slices, ranges=config.ranges
    )
    drafts = sorted((_draft(slices[run.start : run.stop], findings) for run in chosen), key=_place)
    shown = {k for run in chosen for k in run}
    return Selection(
        ranges=tuple(_range(draft, rank) for rank, draft in enumerate(drafts, start=1)),
        ranges_left_out=sum(shown.isdisjoint(run) for run in runs),
        slices_left_out=len(eligible - shown),
    )


def is_selected_as(said: Recommendation, config: InferConfig) -> bool:
    """Return whether an answer recommends what it would with these settings.

    Parameters
    ----------
    said : Recommendation
        With slices.
    config : InferConfig
        The settings.
    """
    selected = select_ranges(said.slices, said.findings, said.release.threshold_nodule, config)
    return selected == (said.ranges, said.ranges_left_out, said.slices_left_out)


class _Draft(NamedTuple):
    """Slices of a range with the findings in them, before ranges are ranked."""

    slices: Sequence[SliceReading]
    findings: tuple[int, ...]

    @property
    def peak(self) -> SliceReading:
        return min(self.slices, key=lambda one: one.rank)


def _eligible(slices: Sequence[SliceReading], findings: Iterable[Finding], threshold: float) -> set[int]:
    p_nodule = np.array([-1.0 if one.blank else one.probabilities.nodule for one in slices])
    above = {k for inside in ranges_above(p_nodule, threshold) for k in inside}
    return above | {finding.slice_number - 1 for finding in findings}


def _seeds(runs: Sequence[range], slices: Sequence[SliceReading], findings: Sequence[Finding]) -> Iterator[int]:
    """Yield the slice of each finding, best first, then the peaks of the runs that hold none."""
    held = {finding.slice_number - 1 for finding in findings}
    yield from (finding.slice_number - 1 for finding in findings)
    peaks = [min(run, key=lambda k: slices[k].rank) for run in runs if held.isdisjoint(run)]
    yield from sorted(peaks, key=lambda k: slices[k].rank)


def _order(slices: Sequence[SliceReading], findings: Sequence[Finding]) -> list[int]:
    """Put slices that a finding reaches into before the others; within both, by P(nodule)."""
    return [one.rank + (0 if any(_reaches(one, found) for found in findings) else len(slices)) for one in slices]


def _reaches(one: SliceReading, finding: Finding) -> bool:
    top_mm, bottom_mm = finding.z_span_mm
    return top_mm > one.z_bottom_mm and bottom_mm < one.z_top_mm


def _draft(run: Sequence[SliceReading], findings: Iterable[Finding]) -> _Draft:
    numbers = {one.slice_number for one in run}
    return _Draft(run, tuple(finding.rank for finding in findings if finding.slice_number in numbers))


def _place(draft: _Draft) -> tuple[bool, int]:
    """Order ranges: those with findings by the rank of their best one, then the others by that of their peak."""
    return not draft.findings, draft.findings[0] if draft.findings else draft.peak.rank


def _range(draft: _Draft, rank: int) -> SliceRange:
    run, peak = draft.slices, draft.peak
    return SliceRange(
        rank=rank,
        first_slice=run[0].slice_number,
        last_slice=run[-1].slice_number,
        peak_slice=peak.slice_number,
        findings=draft.findings,
        sectors=tuple(sorted({one.sector for one in run})),
        z_top_mm=run[0].z_top_mm,
        z_bottom_mm=run[-1].z_bottom_mm,
        z_peak_mm=peak.z_mm,
        nodule_at_peak=peak.probabilities.nodule,
        malignant_at_peak=peak.probabilities.malignant,
        malignant_max=max(one.probabilities.malignant for one in run),
        source_images=_images_of(run),
        peak_source_images=peak.source_images,
    )


def _images_of(run: Iterable[SliceReading]) -> tuple[SourceImage, ...]:
    """Name each source image of a run once, top of the chest first."""
    images = {
        (image.sop_instance_uid, image.frame_number): SourceImage(**image.model_dump(exclude={"weight"}))
        for one in run
        for image in one.source_images
    }
    return tuple(sorted(images.values(), key=lambda image: -image.z_mm))
