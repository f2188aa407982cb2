"""Read the nodule candidates of a series with a release, and join them with what is known of its slices."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lidcflow.errors import ReleaseError
from lidcflow.nodules.candidates import NO_LUNGS
from lidcflow.nodules.describe import describe_findings
from lidcflow.nodules.detector import Detector, embedded_detector
from lidcflow.nodules.finding import Finding
from lidcflow.nodules.finding_digests import finding_digests
from lidcflow.nodules.planes import finding_planes
from lidcflow.nodules.scored import score_candidates
from lidcflow.nodules.select import select_findings
from lidcflow.nodules.stored import FAILED, TOO_FEW_SLICES, StoredCandidates, read_candidates
from lidcflow.nodules.systems import FindingSystems, MalignancyLike, finding_systems
from lidcflow.nodules.table import SCHEMA
from lidcflow.nodules.weight_files import DETECTOR, MALIGNANCY, SEGMENTER, WeightFiles
from lidcflow.nodules.whole_lungs import INCOMPLETE_LUNGS
from lidcflow.release.answer import answer_for_series
from lidcflow.release.embedded import embedded_pin
from lidcflow.release.pins import EMBEDDED, DetectorPin, FindingPin, ModelPin, NodulePin
from lidcflow.release.record import ReleaseRecord
from lidcflow.report.page import Patches
from lidcflow.report.recommendation import Recommendation, SeriesWarning
from lidcflow.store.record import VolumeRecord
from lidcflow.store.summary import VolumeSummary
from lidcflow.store.volumes import VolumeStore
from tasks.tracking.place import Tracking
from tasks.tracking.weight_models import READERS, load_weights

UNLIKE = ("unlike-training-hu", "unlike-training-features")
"""Warnings about images on which the probabilities of sector models mean nothing."""

NO_SECTORS = SeriesWarning(
    code="no-sector-models",
    sentence="This release has no sector models: slices are ranked by the nodule candidates in them, and by how often "
    "nodules occur at that height of the chest.",
)

SECTORS_LEFT_OUT = SeriesWarning(
    code="sector-models-left-out",
    sentence="The models of this release were trained on other images than these, and were not used: the release that "
    "ships with lidcflow read the series, which ranks slices by the "
    "nodule candidates in them, and by how often nodules occur at that height of the chest.",
)

NO_CANDIDATES = SeriesWarning(
    code="no-candidates",
    sentence="Nodule candidates were not looked for in this series, so there are no findings; `lidcflow preprocess` or "
    "the next `lidcflow infer` finds them, unless nodules.candidates is false.",
)

WITHOUT_CANDIDATES = {
    NO_LUNGS: SeriesWarning(
        code=NO_LUNGS,
        sentence="No lungs were found in this series, so nodule candidates were not looked for and there are no "
        "findings.",
    ),
    TOO_FEW_SLICES: SeriesWarning(
        code="no-candidates-in-few-slices",
        sentence="Too few slices were read to look for nodule candidates, so there are no findings.",
    ),
    FAILED: SeriesWarning(
        code=FAILED,
        sentence="The search for nodule candidates failed in this series, so there are no findings; report this.",
    ),
}
"""Reasons why a series has no candidates, by the flag that is stored with it."""

IN_PART = SeriesWarning(
    code=INCOMPLETE_LUNGS,
    sentence="Less lung was found in this series than a whole chest has: the scan may be cut, a lung collapsed or the "
    "patient a child. Nodules outside of the lungs that were found have no candidates, and how often nodules occur at "
    "a height of the chest means little here.",
)


class SliceScores(NamedTuple):
    """Probabilities of the slices of a series, and what to be warned of.

    Parameters
    ----------
    probabilities : (slices, 3) array, optional
        P(non-nodule), P(benign), P(malignant) by the sector models; None where a release has none.
    warnings : tuple of SeriesWarning
        Warnings so far.
    """

    probabilities: NDArray[np.floating] | None
    warnings: tuple[SeriesWarning, ...]


class Joined(NamedTuple):
    """Results of a release for a series: its slices, its findings with the planes through them, and warnings."""

    probabilities: NDArray[np.floating]
    warnings: tuple[SeriesWarning, ...]
    findings: tuple[Finding, ...]
    planes: Patches


def join_candidates(
    release: ReleaseRecord,
    store: VolumeStore,
    record: VolumeRecord,
    slices: SliceScores,
    tracking: Tracking | None = None,
) -> Joined:
    """Join the scores of a series' slices with its stored nodule candidates.

    Parameters
    ----------
    release : ReleaseRecord
        A release without a detector leaves the scores of its sector models as they are.
    store : VolumeStore
        The store of the series.
    record : VolumeRecord
        Its volume.
    slices : SliceScores
        By the sector models.
    tracking : Tracking, optional
        Where the registry is that a detector of one's own comes from.

    Raises
    ------
    ReleaseError
        If the release has neither sector models nor a detector, or its detector is neither in this package nor in the
        registry.
    WeightsError
        If the files of the detector are missing or damaged.
    """
    if release.nodules is None:
        if slices.probabilities is None:
            raise ReleaseError(
                f"release {release.name} version {release.version}: must have models, got none of any kind"
            )
        return Joined(slices.probabilities, slices.warnings, (), {})
    pin, own, warnings = _reader(release.nodules, slices)
    stored = read_candidates(store, record.series_instance_uid, cubes=True)
    if stored is None or not stored.searched:
        return Joined(answer_for_series(pin, own, None), (*warnings, _why_none(stored)), (), {})
    scored = score_candidates(stored, detector_of(pin, tracking), malignancy_of(pin, tracking), pin.threshold)
    found = select_findings(stored.table, scored.probability, record, threshold=pin.threshold)
    findings = describe_findings(found, stored, record, systems_of(pin, tracking))
    joined = answer_for_series(pin, own, scored.in_slices(record.edges_mm))
    warnings = (*warnings, IN_PART) if INCOMPLETE_LUNGS in stored.flags else warnings
    return Joined(joined, warnings, findings, finding_planes(found, stored))


class _Reader(NamedTuple):
    """The models that process a series."""

    pin: NodulePin
    sectors: NDArray[np.floating] | None
    warnings: tuple[SeriesWarning, ...]


def _reader(pin: NodulePin, slices: SliceScores) -> _Reader:
    """Choose what answers: on images unlike those of training, what ships with the package."""
    own, warnings = slices
    if own is None:
        return _Reader(pin, None, (*warnings, NO_SECTORS))
    if is_unlike(warnings):
        return _Reader(embedded_pin(len(own)), None, (*warnings, SECTORS_LEFT_OUT))
    return _Reader(pin, own, warnings)


def is_unlike(warnings: Collection[SeriesWarning]) -> bool:
    """Return whether the images of a series are unlike all that the sector models were trained on.

    Examples
    --------
    >>> is_unlike([SeriesWarning(code="unlike-training-kernel", sentence="")])
    False
    """
    return any(one.code in UNLIKE for one in warnings)


def _why_none(stored: StoredCandidates | None) -> SeriesWarning:
    """Return why a series was not searched for candidates."""
    if stored is None:
        return NO_CANDIDATES
    return next(WITHOUT_CANDIDATES[flag] for flag in stored.flags if flag in WITHOUT_CANDIDATES)


def detector_of(pin: DetectorPin, tracking: Tracking | None = None) -> Detector:
    """Return the detector that a release pins; a registered one is read once in a process.

    Parameters
    ----------
    pin : DetectorPin
        What the release says of it.
    tracking : Tracking, optional
        Where the registry is.

    Raises
    ------
    ReleaseError
        If it is neither the one that is in this package nor in the registry, or has changed.
    WeightsError
        If the files of the package's detector are missing or damaged.
    """
    if pin.detector != EMBEDDED:
        own: Detector = _registered(
            DETECTOR, ModelPin(name=pin.detector, version=pin.version, sha256=pin.sha256), tracking
        )
        return own
    detector = embedded_detector()
    if detector.sha256 != pin.sha256:
        raise ReleaseError(
            f"detector {pin.detector} version {pin.version}: its weights must have the digest {pin.sha256[:12]}, got "
            f"{detector.sha256[:12]}; use the version of lidcflow that made the release"
        )
    return detector


def malignancy_of(pin: FindingPin, tracking: Tracking | None = None) -> MalignancyLike | None:
    """Return the system whose P(malignant) has a say in that of slices; None where a release joins none.

    The parameters and what is raised are those of `systems_of`.
    """
    return systems_of(pin, tracking).malignancy if pin.joins_malignancy else None


def systems_of(pin: FindingPin, tracking: Tracking | None = None) -> FindingSystems:
    """Return the systems that say what findings are, if they are those that a release pins.

    Parameters
    ----------
    pin : FindingPin
        What the release says of them; nothing, if it is older than they are.
    tracking : Tracking, optional
        Where the registry is that systems of one's own come from.

    Raises
    ------
    ReleaseError
        If the package holds others, or one of one's own is not in the registry or has changed.
    WeightsError
        If the files of one are missing or damaged.
    """
    for name, digest in finding_digests().items():
        wanted = str(getattr(pin, name))
        if getattr(pin, f"own_{name}") is None and wanted not in ("", digest):
            raise ReleaseError(
                f"{name} of the release: its weights must have the digest {wanted[:12]}, got {digest[:12]}; use the "
                "version of lidcflow that made the release"
            )
    systems = finding_systems()
    if pin.own_segmenter:
        systems = systems._replace(segmenter=_registered(SEGMENTER, pin.own_segmenter, tracking))
    if pin.own_malignancy:
        systems = systems._replace(malignancy=_registered(MALIGNANCY, pin.own_malignancy, tracking))
    return systems


def _registered(files: WeightFiles, pin: ModelPin, tracking: Tracking | None) -> Any:
    """Return a registered model, read once in a process."""
    if tracking is None:
        raise ReleaseError(
            f"{files.model} {pin.name}: must be {EMBEDDED} where there is no registry, got another; use the "
            "lidcflow that trained it"
        )
    key = (tracking, pin.name, pin.version, pin.sha256)
    if key not in _loaded:
        _loaded[key] = load_weights(files, READERS[files.stem], tracking, pin)
    return _loaded[key]


_loaded: dict[tuple[Tracking, str, int, str], Any] = {}


def could_have_candidates_now(said: Recommendation, volume: VolumeSummary) -> bool:
    """Return whether candidates, or their cubes, were stored since a reading that had none."""
    return volume.candidates == SCHEMA and (_was_without(said.warnings) or _was_without_cubes(said.findings))


def _was_without_cubes(findings: Sequence[Finding]) -> bool:
    return any(found.outline is None and found.circle is None for found in findings)


def _was_without(warnings: Sequence[SeriesWarning]) -> bool:
    return any(one.code == NO_CANDIDATES.code for one in warnings)
