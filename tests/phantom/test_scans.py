"""Phantoms: real geometry and readings, voxels made here, marked as synthetic."""

import re
from dataclasses import replace

import numpy as np
import pytest
from pydicom import dcmread

from lidcflow.errors import ResourceError, SourceError
from lidcflow.labels.lidc import nodules_of
from lidcflow.phantom import check_space, choose_scans, is_current, series_folder, write_phantom
from lidcflow.phantom.grid import Grid
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.series.find import index_folder


@pytest.fixture(scope="module")
def short_scan(scan):
    """Return ten slices about the nodule, so that a whole series is written in a moment."""
    middle = nodules_of(scan)[0].readings[0].contours[2].z_mm
    index = int(np.flatnonzero(scan.slice_z_mm == middle)[0])
    return replace(scan, slice_z_mm=scan.slice_z_mm[index - 5 : index + 5])


@pytest.fixture(scope="module")
def written(short_scan, tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantom")
    return folder, write_phantom(short_scan, folder, seed=7)


def bytes_of(folder):
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def test_the_same_seed_gives_the_same_bytes(written, short_scan, tmp_path):
    again = write_phantom(short_scan, tmp_path, seed=7)

    assert bytes_of(again) == bytes_of(written[1])


def test_another_seed_gives_other_voxels_under_other_instance_uids(written, short_scan, tmp_path):
    other = dcmread(write_phantom(short_scan, tmp_path, seed=8) / "000001.dcm")
    first = dcmread(written[1] / "000001.dcm")

    assert other.PixelData != first.PixelData
    assert other.SOPInstanceUID != first.SOPInstanceUID
    assert other.SeriesInstanceUID == first.SeriesInstanceUID


def test_geometry_equals_the_rows(written, short_scan):
    images = [dcmread(file) for file in sorted(written[1].iterdir())]

    z_mm = sorted((float(image.ImagePositionPatient[2]) for image in images), reverse=True)
    np.testing.assert_array_equal(z_mm, short_scan.slice_z_mm)
    for image in images:
        assert image.PixelSpacing == [short_scan.pixel_spacing_mm] * 2
        assert image.SliceThickness == short_scan.slice_thickness_mm
        assert image.ImagePositionPatient[0] == pytest.approx(-255.5 * short_scan.pixel_spacing_mm)
        assert (image.Rows, image.Columns, image.RescaleIntercept, image.RescaleSlope) == (512, 512, -1024, 1)


def test_the_layout_is_the_one_that_pylidc_reads(written, short_scan):
    folder, series = written

    parts = short_scan.patient_id, short_scan.study_instance_uid, short_scan.series_instance_uid
    assert series == folder.joinpath(*parts)
    assert sorted(file.name for file in series.iterdir()) == [f"{n:06d}.dcm" for n in range(1, 11)]


def test_every_header_says_that_it_is_synthetic(written):
    for file in written[1].iterdir():
        image = dcmread(file, stop_before_pixels=True)
        assert image.Manufacturer == "lidcflow phantom"
        assert image.SeriesDescription == image.ImageComments == "SYNTHETIC PHANTOM - research use only"
        assert image.ContentQualification == "RESEARCH"
        assert image.ImageType == ["DERIVED", "SECONDARY", "AXIAL"]
        assert image.PatientName == ""


def test_the_index_finds_a_phantom_usable_and_synthetic(written, short_scan):
    (verdict,) = index_folder(written[0], secret=PUBLIC_KEY)

    assert verdict.usable
    assert verdict.series.synthetic
    assert verdict.series.series_instance_uid == short_scan.series_instance_uid


def test_a_series_that_is_there_is_left_alone(written, short_scan):
    folder, series = written
    before = (series / "000001.dcm").stat().st_mtime_ns

    write_phantom(short_scan, folder, seed=7)

    assert is_current(short_scan, folder, seed=7)
    assert not is_current(short_scan, folder, seed=8)
    assert (series / "000001.dcm").stat().st_mtime_ns == before


def test_a_series_of_another_seed_is_replaced_whole(short_scan, tmp_path):
    series = write_phantom(short_scan, tmp_path, seed=1)
    (series / "000003.dcm").unlink()

    write_phantom(short_scan, tmp_path, seed=2)

    assert is_current(short_scan, tmp_path, seed=2)
    assert [path.name for path in series.parent.iterdir()] == [series.name]


def test_a_series_that_is_no_phantom_is_never_replaced(short_scan, tmp_path):
    series = series_folder(short_scan, tmp_path)
    series.mkdir(parents=True)
    (series / "000001.dcm").write_bytes(b"a real image")

    with pytest.raises(SourceError, match="must be empty or hold a phantom"):
        write_phantom(short_scan, tmp_path, seed=0)
    assert (series / "000001.dcm").read_bytes() == b"a real image"


def test_too_little_disk_is_told_before_anything_is_written(short_scan, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1_000_000}))

    with pytest.raises(ResourceError, match="got 1 MB"):
        write_phantom(short_scan, tmp_path / "new", seed=0)
    with pytest.raises(ResourceError, match="must have"):
        check_space([short_scan], tmp_path)
    assert not (tmp_path / "new").exists()


def test_a_writer_that_fails_leaves_nothing(short_scan, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("lidcflow.phantom.scans.slice_bytes", fail)

    with pytest.raises(OSError, match="disk full"):
        write_phantom(short_scan, tmp_path, seed=0)
    assert not list(series_folder(short_scan, tmp_path).parent.iterdir())


def test_chosen_series_are_of_different_patients_and_the_same_for_a_seed():
    scans = choose_scans(20, seed=3, max_slices=140)

    assert len({scan.patient_id for scan in scans}) == 20
    assert max(len(scan.slice_z_mm) for scan in scans) <= 140
    assert {scan.series_instance_uid for scan in choose_scans(10, seed=3, max_slices=140)} < {
        scan.series_instance_uid for scan in scans
    }


def test_more_series_than_there_are_is_one_sentence():
    with pytest.raises(ValueError, match="must be at most 13, got 14"):
        choose_scans(14, seed=0, max_slices=100)


def test_series_with_gaps_are_never_chosen():
    everyone = {scan.patient_id for scan in choose_scans(1000, seed=0)}

    assert not everyone & {"LIDC-IDRI-0123", "LIDC-IDRI-0267", "LIDC-IDRI-0514", "LIDC-IDRI-0672"}


def test_nodules_are_brighter_than_what_is_around_them(phantom, scan):
    (nodule,) = nodules_of(scan)
    z_mm = sorted({contour.z_mm for reading in nodule.readings for contour in reading.contours})[3]
    index = int(np.flatnonzero(scan.slice_z_mm == z_mm)[0])
    hu = phantom.slice_hu(index)

    patch = phantom.scene.lesions[0].outline.patch(Grid(512, scan.pixel_spacing_mm), float(phantom.depths_mm[index]))
    rows, columns = patch.inside_mm.shape
    area = hu[patch.row : patch.row + rows, patch.column : patch.column + columns]
    assert np.median(area[patch.inside_mm > 1.0]) > -100
    assert np.median(area[patch.inside_mm < -3.0]) < -600


def test_a_phantom_looks_like_a_chest(phantom, scan):
    hu = phantom.slice_hu(len(scan.slice_z_mm) // 3)

    lung, soft, bone = (((low < hu) & (hu < high)).mean() for low, high in ((-950, -750), (-20, 120), (300, 1500)))
    assert 0.1 < lung < 0.45
    assert 0.08 < soft < 0.5
    assert 0.004 < bone < 0.08
    assert -910 < np.median(hu[(hu > -950) & (hu < -750)]) < -820


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"n": -1}, "series must be a whole number of at least 1, got -1"),
        ({"n": 1.5}, "series must be a whole number of at least 1, got 1.5"),
        ({"n": "x"}, "series must be a whole number of at least 1, got 'x'"),
        ({"seed": -1}, "seed must be a whole number of at least 0, got -1"),
        ({"max_slices": -3}, "max_slices must be a whole number of at least 1, got -3"),
    ],
)
def test_a_number_that_is_none_or_too_small_is_named(wrong, sentence):
    with pytest.raises(ValueError, match=f"^phantom: {re.escape(sentence)}$"):
        choose_scans(**{"n": 1, "seed": 0, **wrong})
