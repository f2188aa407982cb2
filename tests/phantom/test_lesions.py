"""Nodules look as their ratings say."""

import numpy as np
import pytest

from lidcflow.phantom.findings import BlobOutline
from lidcflow.phantom.lesions import Lesion, tissue_of
from lidcflow.phantom.paint import paint_lesion
from lidcflow.phantom.scene import generator
from lidcflow.phantom.shapes import random_waves
from tests.phantom.scenes import GRID, LUNG_HU, PLAIN

CENTRE = slice(30, 34)


def painted(ratings=PLAIN, radius_mm=6.0, background_hu=LUNG_HU, depth_mm=0.0):
    """Paint a ball in the middle of an even slice."""
    rng = generator(1)
    outline = BlobOutline((0.0, 0.0, 0.0), radius_mm, np.eye(3), random_waves(rng, 5, 9), 0.0)
    hu = np.full((64, 64), background_hu, np.float32)
    paint_lesion(hu, Lesion(outline, tissue_of(ratings, outline, rng)), GRID, depth_mm, 2.5)
    return hu


def centre_hu(ratings=PLAIN, **kwargs):
    return float(painted(ratings, **kwargs)[CENTRE, CENTRE].mean())


def test_a_solid_nodule_is_soft_tissue():
    assert -60 < centre_hu() < 120


def test_density_rises_with_the_texture_rating():
    whole = [float(painted(PLAIN._replace(texture=texture)).mean()) for texture in (1, 2, 3, 4, 5)]

    assert whole == sorted(whole)


def test_ground_glass_is_far_less_dense_than_a_solid_nodule():
    assert centre_hu(PLAIN._replace(texture=1)) < centre_hu() - 400


@pytest.mark.parametrize("pattern", [3, 5])
def test_a_calcified_nodule_is_brighter(pattern):
    assert centre_hu(PLAIN._replace(calcification=pattern)) > centre_hu() + 250


def test_an_obvious_nodule_has_more_contrast_than_a_subtle_one():
    assert centre_hu(PLAIN._replace(subtlety=5)) > centre_hu(PLAIN._replace(subtlety=1)) + 250


def test_a_poor_margin_fades_over_a_longer_way():
    def fading(margin):
        profile = painted(PLAIN._replace(margin=margin))[32]
        return np.count_nonzero((profile > LUNG_HU + 100) & (profile < -150))

    assert fading(1) > fading(5)


def test_spicules_reach_out_of_the_nodule():
    smooth, spiculated = (painted(PLAIN._replace(spiculation=rating)) for rating in (1, 5))

    y, x = np.mgrid[:64, :64]
    outside = np.hypot((x - 31.5) * 0.7, (y - 31.5) * 0.7) > 7.5
    assert np.count_nonzero(smooth[outside] > -800) == 0
    assert np.count_nonzero(spiculated[outside] > -800) > 10


def test_a_nodule_in_soft_tissue_is_drawn_all_the_same():
    assert centre_hu(background_hu=45.0) > 45 + 80


def test_a_slice_past_the_nodule_stays_as_it_was():
    np.testing.assert_array_equal(painted(depth_mm=20.0), np.full((64, 64), LUNG_HU, np.float32))
