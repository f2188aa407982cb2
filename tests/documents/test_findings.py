"""Findings in key objects and structured reports: hand-made ones, and the known nodule of a phantom."""

import shutil
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from highdicom.sr import srread

from lidcflow.documents.write import KEY_OBJECTS, STRUCTURED_REPORT
from lidcflow.labels.lidc import lidc_scans, nodules_of
from lidcflow.nodules.finding import Finding
from lidcflow.nodules.place import place_of
from lidcflow.phantom import write_phantom
from lidcflow.phantom.contours import consensus_outline
from lidcflow.phantom.grid import Grid
from lidcflow.phantom.patient import MATRIX
from lidcflow.report.recommendation import SeriesWarning
from tests.documents.small_study import finding_at, record_in, series_in
from tests.enhanced import to_enhanced

FILES = (KEY_OBJECTS, STRUCTURED_REPORT)


@pytest.fixture
def source(tmp_path, ct_series):
    return ct_series(tmp_path / "source", SeriesNumber=3)


@pytest.fixture
def found(documented):
    """Write the documents of a series with two findings, of which the second says P(malignant)."""

    def write(source, **said_of):
        record = record_in(series_in(source))
        findings = [
            finding_at(record, 1, 6, 20.0, 8.0, diameter_mm=9.5),
            finding_at(record, 2, 1, 4.25, 27.0, malignant=0.125, channel="ground-glass"),
        ]
        return documented(source, findings=findings, **said_of)

    return write


def references(document):
    """List the images that a key object note leads to, with their frames."""
    items = [item for item in document.ContentSequence if item.ValueType == "IMAGE"]
    named = [item.ReferencedSOPSequence[0] for item in items]
    return [(one.ReferencedSOPInstanceUID, one.get("ReferencedFrameNumber")) for one in named]


def regions(folder):
    """List the region groups of a structured report."""
    return srread(folder / STRUCTURED_REPORT).content.get_planar_roi_measurement_groups()


def test_key_objects_lead_to_the_middle_image_of_each_finding_alone(found, source):
    folder, said = found(source)

    assert references(pydicom.dcmread(folder / KEY_OBJECTS)) == [(one.sop_instance_uid, None) for one in said.findings]


def test_key_objects_name_ten_images_at_most_the_best_findings(documented, source):
    record = record_in(series_in(source))
    findings = [finding_at(record, rank, (rank - 1) % 10, 10.0, 10.0 + rank) for rank in range(1, 14)]

    folder, said = documented(source, findings=findings)

    uids = [uid for uid, _ in references(pydicom.dcmread(folder / KEY_OBJECTS))]
    assert uids == [one.sop_instance_uid for one in said.findings[:10]]


def test_without_findings_ten_images_at_most_are_named_each_peak_by_its_middle_one(documented, tmp_path, ct_series):
    folder, said = documented(ct_series(tmp_path / "long", n=80, spacing_mm=1.0))

    uids = [uid for uid, _ in references(pydicom.dcmread(folder / KEY_OBJECTS))]
    assert len(uids) == 10
    for one in said.ranges:
        images = [image.sop_instance_uid for image in one.peak_source_images]
        assert len(images) >= 10
        assert images[len(images) // 2] in uids


def test_each_finding_has_a_group_with_its_region_size_and_probability(found, source):
    folder, said = found(source)

    groups = regions(folder)

    assert [group.tracking_identifier for group in groups] == ["finding 1", "finding 2"]
    assert [group.finding_type.meaning for group in groups] == ["Nodule", "Nodule"]
    assert [site.value.meaning for group in groups for site in group.finding_sites] == ["Lung", "Lung"]
    measured = [
        [(one.name.meaning, float(one.value), one.unit.value) for one in group.get_measurements()] for group in groups
    ]
    assert measured[0] == [("Diameter", 9.5, "mm"), ("Probability of a nodule", 93.75, "%")]
    assert measured[1][2] == ("Probability of a nodule rated malignant", 12.5, "%")
    assert len({group.tracking_uid for group in groups}) == 2
    for group, one in zip(groups, said.findings, strict=True):
        region = group.roi
        assert region.GraphicType == "CIRCLE"
        centre, beside = region.value
        assert centre.tolist() == [one.column + 0.5, one.row + 0.5]
        reach_mm = np.linalg.norm(beside - centre) * said.volume.column_spacing_mm
        assert 2 * reach_mm == pytest.approx(one.diameter_mm, abs=1e-3)  # points are single floats
        (image,) = region.ContentSequence[0].ReferencedSOPSequence
        assert image.ReferencedSOPInstanceUID == one.sop_instance_uid


def test_a_probability_is_never_rounded_up_to_certainty(documented, source):
    record = record_in(series_in(source))

    folder, _ = documented(source, findings=[finding_at(record, 1, 6, 20.0, 8.0, probability=0.99999999)])

    assert float(regions(folder)[0].get_measurements()[1].value) == 99.9999


def test_every_image_that_the_report_names_is_evidence(found, source):
    folder, said = found(source)

    report = pydicom.dcmread(folder / STRUCTURED_REPORT)

    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    (series,) = study.ReferencedSeriesSequence
    uids = {one.ReferencedSOPInstanceUID for one in series.ReferencedSOPSequence}
    ranges = {image.sop_instance_uid for one in said.ranges for image in one.source_images}
    assert uids == ranges | {one.sop_instance_uid for one in said.findings}


def test_the_validator_finds_no_error_and_dcmtk_says_what_was_found(found, source, dciodvfy, dsrdump):
    folder, _ = found(source)

    assert [dciodvfy(folder / name) for name in FILES] == [[], []]
    report, keys = dsrdump(folder / STRUCTURED_REPORT), dsrdump(folder / KEY_OBJECTS)
    for words in ('"finding 1"', "CIRCLE", "8.5/20.5", '="9.5"', '"Diameter"', "Research use only, not for diagnosis."):
        assert words in report
    assert "To look at: 2 findings, best first." in keys
    assert "row 20, column 8: 9.5 mm, P(nodule) 94%" in keys


def test_findings_of_a_multi_frame_object_name_their_frames(found, source, dciodvfy):
    folder, said = found(to_enhanced(source))

    frames = [one.frame_number for one in said.findings]
    ((_, named),) = references(pydicom.dcmread(folder / KEY_OBJECTS))
    assert list(named) == sorted(frames)
    images = [group.roi.ContentSequence[0].ReferencedSOPSequence[0] for group in regions(folder)]
    assert [image.ReferencedFrameNumber for image in images] == frames
    assert [dciodvfy(folder / name) for name in FILES] == [[], []]


def test_the_series_says_that_there_are_findings_and_warnings_come_before_them(found, source, dciodvfy):
    warning = SeriesWarning(code="unlike-training-kernel", sentence="Its kernel is unlike those of training.")

    folder, _ = found(source, warnings=[warning])

    keys, report = (pydicom.dcmread(folder / name) for name in FILES)
    assert keys.SeriesDescription == "lidcflow: series 3, findings, see warnings (research use only)"
    words = next(item.TextValue for item in keys.ContentSequence if "To look at" in item.get("TextValue", ""))
    assert words.index("Warning: Its kernel is unlike those of training.") < words.index("To look at: 2 findings")
    first = next(item for item in report.ContentSequence if item.RelationshipType == "CONTAINS")
    assert first.TextValue == "Its kernel is unlike those of training."
    assert [dciodvfy(folder / name) for name in FILES] == [[], []]


def test_a_pacs_takes_the_documents_and_gives_them_back(found, source, pacs):
    folder, said = found(source)

    pacs.send(source)
    study = pacs.send(folder)

    assert study == said.study_instance_uid
    for name in FILES:
        sent = pydicom.dcmread(folder / name)
        (place,) = pacs.ask("POST", "/tools/lookup", content=sent.SOPInstanceUID.encode())
        kept = pacs.ask("GET", f"/instances/{place['ID']}/tags?simplify")
        assert kept["Modality"] == sent.Modality
        assert len(kept["ContentSequence"]) == len(sent.ContentSequence)


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    """Write ten slices about the nodule of a phantom; give their folder, and the nodule's place and radius."""
    scan = lidc_scans()[0]
    middle_mm = nodules_of(scan)[0].readings[0].contours[2].z_mm
    index = int(np.flatnonzero(scan.slice_z_mm == middle_mm)[0])
    short = replace(scan, slice_z_mm=scan.slice_z_mm[index - 5 : index + 5])
    grid = Grid(MATRIX, scan.pixel_spacing_mm)
    outline = consensus_outline(nodules_of(scan)[0], short, grid)
    column, row = grid.index(np.array(outline.centre_mm[:2]))
    z_mm = float(short.slice_z_mm[0]) - outline.centre_mm[2]
    return write_phantom(short, tmp_path_factory.mktemp("phantom"), seed=7), (z_mm, row, column), outline.radius_mm


def test_the_circle_of_a_phantoms_nodule_lies_around_it_on_its_image(documented, phantom, tmp_path):
    folder, place, radius_mm = phantom
    record = record_in(series_in(folder))
    one = Finding(rank=1, probability=0.9, channel="solid", diameter_mm=2 * radius_mm, **place_of(record, *place))

    written, _ = documented(shutil.copytree(folder, tmp_path / "phantom"), findings=[one])

    (group,) = regions(written)
    (image,) = group.roi.ContentSequence[0].ReferencedSOPSequence
    file = next(
        file for file in folder.iterdir() if pydicom.dcmread(file).SOPInstanceUID == image.ReferencedSOPInstanceUID
    )
    dataset = pydicom.dcmread(file)
    hu = dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
    (x, y), beside = group.roi.value
    reach = np.hypot(*(beside - (x, y)))
    rows, columns = np.indices(hu.shape)
    away = np.hypot(columns + 0.5 - x, rows + 0.5 - y)
    inside, around = hu[away < 0.8 * reach], hu[(away > 1.5 * reach) & (away < 2.5 * reach)]
    assert (inside > -400).mean() > 0.9
    assert np.median(inside) > np.median(around)
