"""Outlines of readers as a lesion."""

from dataclasses import replace

import numpy as np
import pytest

from lidcflow.labels.lidc import Contour, LidcNodule, LidcReading, Ratings
from lidcflow.phantom.contours import consensus_outline, mean_ratings
from lidcflow.phantom.grid import Grid

RATINGS = Ratings(5, 1, 6, 4, 5, 1, 1, 5, 3)


GRID = Grid(64, 1.0)


def square(z_mm, first, last, inclusion=True):
    """Outline of a square from pixel `first` to pixel `last` of both axes."""
    return Contour(z_mm, inclusion, np.array([[first, first], [first, last], [last, last], [last, first]]))


def test_the_consensus_is_the_mean_of_the_readers(scan):
    z_mm = float(scan.slice_z_mm[0])
    narrow, wide = (LidcReading(1, RATINGS, (square(z_mm, low, high),)) for low, high in ((24, 36), (20, 40)))

    outline = consensus_outline(LidcNodule((narrow, wide)), scan, GRID)

    inside = outline.patch(GRID, 0.0).inside_mm > 0
    assert 14 <= inside.any(axis=1).sum() <= 18
    assert outline.centre_mm == pytest.approx((-1.5, -1.5, 0.0), abs=0.6)


def test_a_hole_stays_free(scan):
    z_mm = float(scan.slice_z_mm[0])
    reading = LidcReading(1, RATINGS, (square(z_mm, 26, 34, inclusion=False), square(z_mm, 20, 40)))

    patch = consensus_outline(LidcNodule((reading,)), scan, GRID).patch(GRID, 0.0)

    assert patch.inside_mm[30 - patch.row, 30 - patch.column] < 0
    assert patch.inside_mm[23 - patch.row, 30 - patch.column] > 0


def test_a_nodule_of_one_pixel_is_still_drawn(scan):
    reading = LidcReading(1, RATINGS, (Contour(float(scan.slice_z_mm[0]), True, np.array([[30, 31]])),))

    outline = consensus_outline(LidcNodule((reading,)), scan, GRID)

    assert outline.patch(GRID, 0.0).inside_mm.max() > -0.5
    assert outline.centre_mm == pytest.approx((-0.5, -1.5, 0.0), abs=0.6)


def test_a_slice_that_one_reader_of_four_marked_is_fainter(scan):
    here, there = (float(z_mm) for z_mm in scan.slice_z_mm[:2])
    both = LidcReading(1, RATINGS, (square(here, 20, 40), square(there, 20, 40)))
    readings = (both, *(LidcReading(n, RATINGS, (square(here, 20, 40),)) for n in (2, 3, 4)))

    outline = consensus_outline(LidcNodule(readings), scan, GRID)

    assert outline.patch(GRID, 0.0).opacity == 1.0
    assert outline.patch(GRID, here - there).opacity < 0.8
    assert outline.patch(GRID, 99.0) is None


def test_ratings_are_averaged_and_calcification_is_one_that_a_reader_named():
    readings = tuple(LidcReading(n, replace(RATINGS, subtlety=n, calcification=c), ()) for n, c in ((2, 3), (4, 6)))

    ratings = mean_ratings(LidcNodule(readings))

    assert ratings.subtlety == 3.0
    assert ratings.calcification == 3
