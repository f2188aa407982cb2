from pathlib import Path

import numpy as np
import pytest

from lidcflow.labels.match import Images, match_readings
from lidcflow.labels.nodules import group_readings
from lidcflow.labels.sources import read_source
from lidcflow.nodules.candidates import MOST_CANDIDATES, candidates_of
from lidcflow.nodules.cubes import cut_cubes
from lidcflow.nodules.gather import ScanGatherer
from lidcflow.nodules.outline import outline_of
from lidcflow.nodules.reader_mask import reader_mask
from lidcflow.nodules.segmenter import embedded_segmenter
from lidcflow.nodules.truth import Kind, consensus, judge_candidates
from lidcflow.pixels.decode import hounsfield_slice
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.series.find import index_folder

pytestmark = pytest.mark.real

FOUND_BY = {"LIDC-IDRI-0008": 50}
"""Rank by which each nodule of three readers and more is a candidate."""


def series_in(folder: Path):
    return index_folder(folder, secret=PUBLIC_KEY).usable[0]


def scan_of(series):
    gatherer = ScanGatherer(series)
    for index, source in enumerate(series.slices):
        gatherer.add(index, hounsfield_slice(source))
    return gatherer.scan()


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

    found = candidates_of(scan_of(series))

    truth = judge_candidates(found.table, nodules, images, pixel_mm)
    counting = [i for i, nodule in enumerate(nodules) if consensus(nodule, images, pixel_mm).counts]
    assert len(found.table) <= MOST_CANDIDATES
    assert counting
    for nodule in counting:
        ranks = np.flatnonzero((truth.nodules == nodule) & (truth.kinds == Kind.NODULE))
        assert len(ranks)
        assert ranks[0] < FOUND_BY[patient]


def test_outlines_agree_with_those_of_three_readers_and_more(real_data):
    (folder,) = real_data.glob("LIDC-IDRI*/LIDC-IDRI-0008")
    series = series_in(folder)
    nodules, images = nodules_in(folder, series)
    pixel_mm = (series.row_spacing_mm, series.column_spacing_mm)
    scan = scan_of(series)
    counting = [nodule for nodule in nodules if consensus(nodule, images, pixel_mm).counts]
    centres = [consensus(nodule, images, pixel_mm).centre_mm for nodule in counting]
    places = [(float(scan.slice_index(np.array([z_mm]))[0]), *(yx / np.array(pixel_mm))) for z_mm, *yx in centres]

    cubes = cut_cubes(scan, np.array(places), np.full(len(places), 7.0), np.ones(len(places)))
    found = embedded_segmenter().probabilities(cubes.hu, cubes.voxel_mm.tolist())

    assert len(counting) == 2
    for nodule, (z_mm, *_), place, probability in zip(counting, centres, places, found, strict=True):
        read = reader_mask(nodule, images, (z_mm, *place[1:]), 0.75, pixel_mm, side=48)
        outlined, truth = outline_of(probability, 0.75), outline_of(read.astype(np.float32), 0.75)
        assert 2 * (outlined.mask & read).sum() / (outlined.mask.sum() + read.sum()) > 0.65
        assert abs(outlined.long_axis_mm - truth.long_axis_mm) < 2
