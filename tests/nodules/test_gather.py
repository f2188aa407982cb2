from dataclasses import replace

import numpy as np
import pytest

from lidcflow.nodules import gather
from lidcflow.nodules.gather import ScanGatherer
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.series.find import index_folder


@pytest.fixture(scope="module")
def series(ct_series, tmp_path_factory):
    folder = ct_series(tmp_path_factory.mktemp("source"), n=12, size=32)
    return index_folder(folder, secret=PUBLIC_KEY).usable[0]


def gathered(series, planes):
    gatherer = ScanGatherer(series)
    for index, hu in planes:
        gatherer.add(index, hu)
    return gatherer.scan()


def even(value, size=32):
    return np.full((size, size), value, np.int16)


def test_slices_are_kept_as_they_are(series):
    scan = gathered(series, [(i, even(i)) for i in range(12)])

    assert scan.hu[:, 0, 0].tolist() == list(range(12))
    assert scan.z_mm.tolist() == [source.z_mm for source in series.slices]
    assert (scan.pixel_mm, scan.step, scan.first) == ((10.0, 10.0), (1, 1, 1), 0)


def test_a_scan_begins_with_the_first_slice_that_was_read(series):
    scan = gathered(series, [(i, even(i)) for i in range(4, 9)])

    assert scan.hu[:, 0, 0].tolist() == [4, 5, 6, 7, 8]
    assert scan.source_index(np.array([[0.0, 1.0, 2.0]])).tolist() == [[4, 1, 2]]


def test_pixels_and_slices_finer_than_needed_are_averaged(series):
    fine = replace(series, row_spacing_mm=0.3, column_spacing_mm=0.3, slice_spacing_mm=0.3)
    checks = np.indices((32, 32)).sum(axis=0).astype(np.int16) % 2 * 100

    scan = gathered(fine, [(i, checks + 2 * i) for i in range(12)])

    assert scan.hu.shape == (6, 16, 16)
    assert scan.hu[:, 3, 5].tolist() == [51 + 4 * k for k in range(6)]
    assert scan.pixel_mm == (0.6, 0.6)
    np.testing.assert_array_equal(scan.source_index(np.array([[1.0, 0.0, 2.0]])), [[2.5, 0.5, 4.5]])


def test_a_long_scan_keeps_to_its_memory(series, monkeypatch):
    monkeypatch.setattr(gather, "MOST_BYTES", 5 * 32 * 32 * 2)

    scan = gathered(series, [(i, even(i)) for i in range(12)])

    assert scan.hu[:, 0, 0].tolist() == [1, 4, 7, 10]


def test_one_slice_is_no_scan(series):
    assert gathered(series, [(3, even(0))]) is None
