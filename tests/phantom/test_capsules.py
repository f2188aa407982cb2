"""Capsules, of which vessels are made."""

import numpy as np
import pytest

from lidcflow.phantom.capsules import Capsules, capsule_cover
from tests.phantom.scenes import GRID


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
