from pathlib import Path

import numpy as np
import pytest

from lidcflow.labels.match import Images, match_readings
from lidcflow.labels.nodules import group_readings
from lidcflow.labels.sources import read_source
from lidcflow.nodules.candidates import MOST_CANDIDATES, candidates_of
from lidcflow.nodules.gather import ScanGatherer
from lidcflow.nodules.truth import Kind, consensus, judge_candidates
from lidcflow.pixels.decode import hounsfield_slice
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.series.find import index_folder

pytestmark = pytest.mark.real

FOUND_BY = {"LIDC-IDRI-0008": 50}
"""Rank by which each nodule of three readers and more is a candidate."""


def series_in(folder: Path):
    return index_folder(folder, secret=PUBLIC_KEY).usable[0]


def candidates_in(series):
    gatherer = ScanGatherer(series)
    for index, source in enumerate(series.slices):
        gatherer.add(index, hounsfield_slice(source))
    return candidates_of(gatherer.scan())


def nodules_in(folder, series):
    images = Images(
        series.series_instance_uid,
        np.array([source.z_mm for source in series.slices]),
        tuple(source.sop_instance_uid for source in series.slices),
        series.slice_spacing_mm / 2,
        series.acquisition.slice_thickness_mm,
        series.rows,
        series.columns,
    )
    readings = [one for book in read_source(str(folder)) for one in book.readings]
    placed, _ = match_readings(
        [one for one in readings if one.series_instance_uid == images.series_instance_uid], images
    )
    return group_readings(placed, images), images


@pytest.mark.parametrize("patient", ["LIDC-IDRI-0008"])
def test_nodules_of_three_readers_are_candidates_among_the_first(real_data, patient):
    (folder,) = real_data.glob(f"LIDC-IDRI*/{patient}")
    series = series_in(folder)
    nodules, images = nodules_in(folder, series)
    pixel_mm = (series.row_spacing_mm, series.column_spacing_mm)

    found = candidates_in(series)

    truth = judge_candidates(found.table, nodules, images, pixel_mm)
    counting = [i for i, nodule in enumerate(nodules) if consensus(nodule, images, pixel_mm).counts]
    assert len(found.table) <= MOST_CANDIDATES
    assert counting
    for nodule in counting:
        ranks = np.flatnonzero((truth.nodules == nodule) & (truth.kinds == Kind.NODULE))
        assert len(ranks)
        assert ranks[0] < FOUND_BY[patient]
