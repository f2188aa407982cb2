"""Nodules look as their ratings say."""

import numpy as np
import pytest

from lidcflow.phantom.capsules import Capsules, capsule_cover
from lidcflow.phantom.findings import BENIGN, MALIGNANT, BlobOutline, random_lesion, random_ratings
from lidcflow.phantom.grid import Grid
from lidcflow.phantom.lesions import Lesion, MeanRatings, tissue_of
from lidcflow.phantom.paint import paint_lesion
from lidcflow.phantom.scene import generator
from lidcflow.phantom.shapes import random_waves

PLAIN = MeanRatings(5, 1, 6, 5, 1, 1, 5)
GRID = Grid(64, 0.7)
LUNG_HU = -870.0
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


def test_a_nodule_at_the_border_of_the_image_is_cut():
    rng = generator(2)
    outline = BlobOutline((22.0, -22.0, 0.0), 6.0, np.eye(3), random_waves(rng, 5, 9), 0.0)
    hu = np.full((64, 64), LUNG_HU, np.float32)

    paint_lesion(hu, Lesion(outline, tissue_of(PLAIN, outline, rng)), GRID, 0.0, 2.5)

    assert hu[0, 63] > -500
    assert hu[32, 32] == LUNG_HU


def test_malignant_nodules_are_larger_more_spiculated_and_hardly_ever_calcified():
    rng = generator(3)
    radii = {label: [random_lesion(rng, label, (0, 0, 0)).outline.radius_mm for _ in range(200)] for label in (1, 2)}
    ratings = {label: [random_ratings(rng, label, 2 * radius) for radius in radii[label]] for label in (1, 2)}

    def mean(label, name):
        return np.mean([getattr(one, name) for one in ratings[label]])

    assert np.median(radii[MALIGNANT]) > 1.3 * np.median(radii[BENIGN])
    assert mean(MALIGNANT, "spiculation") > mean(BENIGN, "spiculation") + 0.2
    assert mean(MALIGNANT, "margin") < mean(BENIGN, "margin") - 0.3
    assert mean(MALIGNANT, "calcification") > 5.9 > mean(BENIGN, "calcification")


def test_a_capsule_across_the_slice_is_a_disc():
    capsule = Capsules(np.array([[0.0, 0.0, -9.0]]), np.array([[0.0, 0.0, 9.0]]), np.array([3.0]), np.array([3.0]))

    pixels, cover = capsule_cover(capsule, GRID, 0.0, 2.5)

    area_mm2 = cover.sum() * 0.7**2
    assert area_mm2 == pytest.approx(np.pi * 9, rel=0.05)
    assert len(set(pixels.tolist())) == len(pixels)


def test_a_thin_capsule_in_the_plane_is_fainter_in_a_thick_slice():
    capsule = Capsules(np.array([[-8.0, 0.0, 0.0]]), np.array([[8.0, 0.0, 0.0]]), np.array([0.8]), np.array([0.8]))

    thin, thick = (capsule_cover(capsule, GRID, 0.0, thickness_mm)[1].sum() for thickness_mm in (1.0, 5.0))

    assert thick < 0.6 * thin
