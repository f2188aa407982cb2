"""The segmentation of findings that have an outline, and what the structured report says of them."""

import sqlite3
from contextlib import closing

import numpy as np
import pydicom
import pytest
from highdicom.seg import Segmentation, segread
from highdicom.sr import srread

from lidcflow.documents import segmentation
from lidcflow.documents.encode import made_documents
from lidcflow.documents.write import KEY_OBJECTS, SEGMENTATION, STRUCTURED_REPORT, write_documents
from lidcflow.inbox.targets import parse_target
from lidcflow.nodules.mask import mask_of
from tests.documents.small_study import CREATED_NS, answer, finding_at, header_of, record_in, series_in
from tests.nodules.test_outline import ellipsoid

VOXEL_MM = 0.75


def outlined(record, rank, image, row, column, axes_mm=(9.0, 8.0, 12.0), **changes):
    """Make a finding with the mask of an ellipsoid and a polygon of its four ends."""
    _, down, right = (mm / 2 for mm in axes_mm)
    rows, columns = down / record.row_spacing_mm, right / record.column_spacing_mm
    ends = [(row - rows, column), (row, column + columns), (row + rows, column), (row, column - columns)]
    told = {
        "long_axis_mm": max(axes_mm[1:]),
        "short_axis_mm": min(axes_mm[1:]),
        "volume_mm3": round(float(np.pi / 6 * np.prod(axes_mm)), 1),
        "outline": (*ends, ends[0]),
        "mask": mask_of(ellipsoid(axes_mm) >= 0.5, VOXEL_MM),
        "malignant": 0.25,
        "malignancy": "forest",
    }
    return finding_at(record, rank, image, row, column, **told, **changes)


@pytest.fixture
def made(ct_series, tmp_path):
    """Write all documents of a series with two findings that have outlines, and one that has a circle."""
    source = ct_series(tmp_path / "source", SeriesNumber=3, FrameOfReferenceUID="1.2.840.9", PixelSpacing=[1.0, 1.0])
    series = series_in(source)
    record = record_in(series)
    findings = [
        outlined(record, 1, 4, 14.0, 16.0),
        outlined(record, 2, 6, 20.0, 10.0, axes_mm=(2.0, 4.0, 4.0)),
        finding_at(record, 3, 1, 8.0, 8.0, circle="its mask is empty or fills the cube"),
    ]
    said = answer(series, "ranges", findings=findings)
    documents = made_documents(said, header_of(series), created_ns=CREATED_NS, kinds=("kos", "sr", "seg"))
    write_documents(documents, tmp_path / "documents", created_ns=CREATED_NS)
    return tmp_path / "documents", said, record, source


@pytest.fixture
def seg(made):
    """Yield the segmentation as highdicom reads it, which has no way to close its index of frames."""
    read = segread(made[0] / SEGMENTATION)
    with closing(read._db_con):
        yield read


def test_a_segment_covers_the_voxels_of_its_finding_on_the_source_images(made, seg):
    _, said, record, _ = made

    assert seg.number_of_segments == 2
    uids = [one.sop_instance_uid for one in record.source_slices]
    masks = seg.get_pixels_by_source_instance(uids, assert_missing_frames_are_empty=True)
    voxel_mm3 = record.slice_spacing_mm * record.row_spacing_mm * record.column_spacing_mm
    assert masks[..., 0].sum() * voxel_mm3 == pytest.approx(said.findings[0].volume_mm3, rel=0.25)
    assert masks[4, 14, 16, 0] == masks[6, 20, 10, 1] == 1
    assert masks[6, ..., 1].sum() == masks[..., 1].sum()


def test_segments_lie_where_the_source_images_lie(made, seg):
    *_, source = made

    headers = {one.SOPInstanceUID: one for one in (pydicom.dcmread(file) for file in source.rglob("*.dcm"))}
    frames = seg.PerFrameFunctionalGroupsSequence
    assert seg.FrameOfReferenceUID == "1.2.840.9"
    for frame in frames:
        uid = frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        position = frame.PlanePositionSequence[0].ImagePositionPatient
        np.testing.assert_allclose(position, headers[uid].ImagePositionPatient, atol=1e-3)


def test_the_report_and_the_segmentation_track_the_same_findings(made):
    folder, _, _, _ = made

    groups = srread(folder / STRUCTURED_REPORT).content.get_planar_roi_measurement_groups()
    segments = pydicom.dcmread(folder / SEGMENTATION).SegmentSequence

    tracked = {group.tracking_identifier: group.tracking_uid for group in groups}
    assert {one.TrackingID: one.TrackingUID for one in segments} == {
        name: tracked[name] for name in ("finding 1", "finding 2")
    }


def test_the_report_draws_the_outline_and_gives_its_axes_and_volume(made):
    folder, said, _, _ = made

    first, _, third = srread(folder / STRUCTURED_REPORT).content.get_planar_roi_measurement_groups()

    assert (first.reference_type.meaning, first.roi.graphic_type.value) == ("Image Region", "POLYLINE")
    np.testing.assert_allclose(first.roi.value[:, ::-1] - 0.5, said.findings[0].outline, atol=1e-4)
    measured = [(one.name.meaning, float(one.value), one.unit.value) for one in first.get_measurements()]
    volume_mm3 = said.findings[0].volume_mm3
    assert measured[:3] == [("Long axis", 12.0, "mm"), ("Short axis", 8.0, "mm"), ("Volume", volume_mm3, "mm3")]
    assert measured[4][1:] == (25.0, "%")
    assert third.roi.graphic_type.value == "CIRCLE"
    assert next(iter(third.get_measurements())).name.meaning == "Diameter"


def test_every_document_of_outlines_is_sound(made, dciodvfy):
    folder = made[0]

    for name in (KEY_OBJECTS, STRUCTURED_REPORT, SEGMENTATION):
        assert dciodvfy(folder / name) == []


def test_a_segmentation_says_that_it_is_for_research(made):
    seg = pydicom.dcmread(made[0] / SEGMENTATION)

    assert seg.ContentDescription == "Research use only, not for diagnosis."
    assert "research use only" in seg.SeriesDescription
    assert seg.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0].AlgorithmName == "lidcflow"


def test_the_same_answer_gives_the_same_bytes(made):
    folder, said, _, source = made

    again = made_documents(said, header_of(series_in(source)), created_ns=CREATED_NS, kinds=("seg",))

    assert again == {SEGMENTATION: (folder / SEGMENTATION).read_bytes()}


def test_no_database_stays_open(made, monkeypatch):
    _, said, _, source = made
    written = []

    class Noted(Segmentation):
        def __init__(self, **options):
            super().__init__(**options)
            written.append(self)

    monkeypatch.setattr(segmentation, "Segmentation", Noted)
    made_documents(said, header_of(series_in(source)), created_ns=CREATED_NS, kinds=("seg",))

    (document,) = written
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        document._db_con.execute("SELECT 1")


def test_findings_without_outlines_have_no_segmentation(ct_series, tmp_path):
    series = series_in(ct_series(tmp_path / "source"))
    said = answer(series, "ranges", findings=[finding_at(record_in(series), 1, 4, 14.0, 16.0)])

    assert made_documents(said, header_of(series), created_ns=CREATED_NS, kinds=("seg",)) == {}


def test_a_pacs_takes_the_segmentation_with_the_other_documents(made, pacs, tmp_path):
    documents = {file.name: file.read_bytes() for file in made[0].iterdir()}

    for _ in range(2):
        parse_target("pacs:main", pacs.access).bring(documents, tmp_path, created_ns=CREATED_NS)

    instances = pacs.ask("GET", "/instances")
    modalities = [pacs.ask("GET", f"/instances/{one}/simplified-tags")["Modality"] for one in instances]
    assert sorted(modalities) == ["KO", "SEG", "SR"]
