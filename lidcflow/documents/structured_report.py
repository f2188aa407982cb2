"""The structured report: findings, and the probabilities of ranges and slices, as TID 1500 in a Comprehensive 3D SR."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import (
    AlgorithmIdentification,
    Comprehensive3DSR,
    FindingSite,
    ImageRegion,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurement,
    SourceImageForMeasurementGroup,
    SourceImageForRegion,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from lidcflow.documents.key_objects import References, evidence_of, references_of
from lidcflow.documents.making import PRODUCT, completed, making_of, observer_of, release_words
from lidcflow.documents.region import region_of
from lidcflow.documents.sentences import ascii_of, description, finding_words, range_words, slice_words
from lidcflow.documents.source_header import Source
from lidcflow.documents.tracking import finding_identifier, finding_uid
from lidcflow.documents.uids import tracking_uid
from lidcflow.nodules.finding import Finding
from lidcflow.report.recommendation import Image, Recommendation, SliceRange, SliceReading, VolumeFacts
from lidcflow.report.told import Told, told_of

SCHEME = "99LIDCFLOW"
NODULE = Code("P-NODULE", SCHEME, "Probability of a nodule")
MALIGNANT = Code("P-MALIGNANT", SCHEME, "Probability of a nodule rated malignant")
"""Concept of readers' ratings. DCM's Probability of cancer claims more than their ratings bear, and its Certainty of
Finding speaks of a finding that is there."""

WARNING = Code("WARNING", SCHEME, "Warning")
MILLIMETRE = Code("mm", "UCUM", "millimeter")
CUBIC_MILLIMETRE = Code("mm3", "UCUM", "cubic millimeter")
PERCENT = Code("%", "UCUM", "percent")
CHEST_CT = Code("169069000", "SCT", "CT of chest")
OUTCOMES = {
    "ranges": "AllAlgorithmsSucceededWithFindings",
    "nothing-above-threshold": "AllAlgorithmsSucceededWithoutFindings",
    "not-evaluated": "NoAlgorithmsSucceededWithoutFindings",
}
"""Keywords of CID 6047."""


def structured_report(said: Recommendation, source: Source, created: datetime) -> Dataset:
    """Make the structured report of a recommendation; parameters as for `key_objects`.

    Returns
    -------
    Dataset
        With a group on the series, one for each finding, one for each range, and one for each slice in a range, or of
        the five highest.

    References
    ----------
    DICOM PS3.3 A.35.13 and PS3.16 TID 1500, TID 1410, TID 1501.
    """
    content = _content(said, source)
    document = Comprehensive3DSR(
        evidence=evidence_of(_referenced(said, source), source),
        content=_warned(content[0], told_of(said)),
        is_complete=True,
        coding_schemes=[
            CodingSchemeIdentificationItem(SCHEME, name=f"{PRODUCT}, private", responsible_organization=PRODUCT)
        ],
        **making_of(said, source, "structured-report"),
    )
    _separate(document)
    return completed(document, source, created)


def _referenced(said: Recommendation, source: Source) -> References:
    """Refer to every image that the content names; not evaluated, one image names the series."""
    images: list[Image] = list(said.findings)
    for found in said.ranges:
        images += found.source_images
    for one in said.highest_slices:
        images += one.source_images
    return references_of(images) or {source.sop_instance_uid: []}


def _content(said: Recommendation, source: Source) -> Any:
    return MeasurementReport(
        observation_context=ObservationContext(observer_device_context=observer_of(said)),
        procedure_reported=codes.SCT.ImagingProcedure if said.volume is None else CHEST_CT,
        imaging_measurements=list(_groups(said, source)),
    )


def _warned(root: Dataset, told: Told) -> Dataset:
    """Put the warnings of a series before all measurements, where viewers show them first; TID 1500 is extensible."""
    items = root.ContentSequence
    at = next(i for i, item in enumerate(items) if item.RelationshipType == "CONTAINS")
    for text in reversed([*told.warnings, *([told.doubt] if told.doubt else [])]):
        items.insert(at, TextContentItem(WARNING, ascii_of(text), relationship_type=RelationshipTypeValues.CONTAINS))
    return root


def _groups(said: Recommendation, source: Source) -> Iterator[Any]:
    """Yield the group on the series, each finding, then each range followed by its slices, the best ones first."""
    yield _series_group(said, source)
    if said.volume is None:
        return
    by_number = {one.slice_number: one for one in said.slices}
    for finding in said.findings:
        yield _finding_group(finding, said, source, said.volume)
    for found in said.ranges:
        yield _range_group(found, said, source, said.volume)
        for number in range(found.first_slice, found.last_slice + 1):
            yield _slice_group(by_number[number], said, source, said.volume)
    for one in said.highest_slices:
        yield _slice_group(one, said, source, said.volume)


def _series_group(said: Recommendation, source: Source) -> Any:
    """Return in words and in a code what became of the series."""
    outcome = getattr(codes.DCM, OUTCOMES[said.verdict])
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(said, "series"),
        algorithm_id=_algorithm(said, _settings(said)),
        qualitative_evaluations=[QualitativeEvaluation(codes.DCM.CADProcessingAndFindingsSummary, outcome)],
        source_images=_images({source.sop_instance_uid: []}, source) if said.volume is None else None,
    )
    return _commented(group, description(said))


def _finding_group(found: Finding, said: Recommendation, source: Source, volume: VolumeFacts) -> Any:
    frames = None if found.frame_number is None else [found.frame_number]
    image = SourceImageForRegion(source.sop_class_uid, found.sop_instance_uid, frames)
    group = PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=finding_uid(said, found), identifier=finding_identifier(found)),
        referenced_region=ImageRegion(*region_of(found, volume), image),
        finding_type=codes.SCT.Nodule,
        finding_sites=[FindingSite(codes.SCT.Lung)],
        algorithm_id=_algorithm(said),
        measurements=_finding_measurements(found, said),
    )
    return _commented(group, "\n".join([finding_words(found, volume), *_doubt(told_of(said)), said.statement]))


def _finding_measurements(found: Finding, said: Recommendation) -> list[Any]:
    told = told_of(said)
    measured = [*_sizes(found), _measured(NODULE, told.probability(found.probability))]
    if found.malignant is None:
        return measured
    by = AlgorithmIdentification(name=found.malignancy or PRODUCT, version=_version(said))
    return [*measured, Measurement(MALIGNANT, _percentage(told.probability(found.malignant)), PERCENT, algorithm_id=by)]


def _sizes(found: Finding) -> list[Any]:
    """Return the axes and the volume of an outline, or the diameter of the circle that stands for one."""
    if found.long_axis_mm is None:
        return [Measurement(name=codes.SCT.Diameter, value=round(found.diameter_mm, 2), unit=MILLIMETRE)]
    axes = {codes.SCT.LongAxis: found.long_axis_mm, codes.SCT.ShortAxis: found.short_axis_mm}
    sizes = [Measurement(name, value, MILLIMETRE) for name, value in axes.items() if value is not None]
    volume = [] if found.volume_mm3 is None else [Measurement(codes.SCT.Volume, found.volume_mm3, CUBIC_MILLIMETRE)]
    return [*sizes, *volume]


def _range_group(found: SliceRange, said: Recommendation, source: Source, volume: VolumeFacts) -> Any:
    peak, told = references_of(found.peak_source_images), told_of(said)
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(said, f"range {found.rank}", _span(found)),
        finding_type=codes.SCT.Nodule,
        finding_sites=[FindingSite(codes.SCT.Lung)],
        algorithm_id=_algorithm(said),
        measurements=[
            _measured(NODULE, told.probability(found.nodule_at_peak), peak, source, maximum=True),
            _measured(MALIGNANT, told.probability(found.malignant_at_peak), peak, source),
        ],
        source_images=_images(references_of(found.source_images), source),
    )
    return _commented(group, "\n".join([range_words(found, volume), *_doubt(told)]))


def _slice_group(one: SliceReading, said: Recommendation, source: Source, volume: VolumeFacts) -> Any:
    told = told_of(said)
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(said, f"slice {one.slice_number}"),
        algorithm_id=_algorithm(said),
        measurements=[
            _measured(NODULE, told.probability(one.probabilities.nodule)),
            _measured(MALIGNANT, told.probability(one.probabilities.malignant)),
        ],
        source_images=_images(references_of(one.source_images), source),
    )
    return _commented(group, "\n".join([slice_words(one, volume), *_doubt(told)]))


def _doubt(told: Told) -> list[str]:
    """Repeat with each rough figure that it is one: viewers show a group without those above it."""
    return [told.doubt] if told.doubt and told.rough else []


def _span(found: SliceRange) -> str:
    return f"slices {found.first_slice}-{found.last_slice}"


def _tracking(said: Recommendation, name: str, what: str | None = None) -> Any:
    """Name what is measured for people, and for programs by a UID that a repeat does not change."""
    return TrackingIdentifier(uid=tracking_uid(said, what or name), identifier=name)


def _algorithm(said: Recommendation, settings: list[str] | None = None) -> Any:
    return AlgorithmIdentification(name=PRODUCT, version=_version(said), parameters=settings)


def _version(said: Recommendation) -> str:
    return f"{said.generated_by.version}, {release_words(said)}"


def _settings(said: Recommendation) -> list[str]:
    facts = said.release
    return [
        f"threshold of P(nodule): {100 * facts.threshold_nodule:.2f} %",
        f"sectors: {facts.sector_num}",
        f"backbone: {facts.backbone_id}",
    ]


def _measured(
    name: Code,
    probability: float,
    images: References | None = None,
    source: Source | None = None,
    *,
    maximum: bool = False,
) -> Any:
    """State a probability in percent, with the images of a peak where it is one's."""
    referenced = None
    if images and source:
        referenced = [
            SourceImageForMeasurement(source.sop_class_uid, uid, frames or None) for uid, frames in images.items()
        ]
    return Measurement(
        name=name,
        value=_percentage(probability),
        unit=PERCENT,
        derivation=codes.SCT.Maximum if maximum else None,
        referenced_images=referenced,
    )


def _percentage(probability: float) -> float:
    """Round to 0.0001 %, but never up to certainty."""
    return 100.0 if probability == 1 else min(round(100 * probability, 4), 99.9999)


def _images(references: References, source: Source) -> list[Any]:
    return [
        SourceImageForMeasurementGroup(source.sop_class_uid, uid, frames or None) for uid, frames in references.items()
    ]


def _commented(group: Any, text: str) -> Any:
    """Add words for people to a group, before its content; TID 1501 is extensible."""
    comment = TextContentItem(codes.DCM.Comment, text, relationship_type=RelationshipTypeValues.CONTAINS)
    items = group[0].ContentSequence
    items.insert(next(i for i, item in enumerate(items) if item.RelationshipType == "CONTAINS"), comment)
    return group


def _separate(container: Dataset) -> None:
    """Have viewers show each item by its name: continuous content, highdicom's choice, is shown as running text."""
    container.ContinuityOfContent = "SEPARATE"
    for item in container.ContentSequence:
        if item.ValueType == "CONTAINER":
            _separate(item)
