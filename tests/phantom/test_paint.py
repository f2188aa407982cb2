"""Lesions painted into an image."""

import numpy as np

from lidcflow.phantom.findings import BlobOutline
from lidcflow.phantom.lesions import Lesion, tissue_of
from lidcflow.phantom.paint import paint_lesion
from lidcflow.phantom.scene import generator
from lidcflow.phantom.shapes import random_waves
from tests.phantom.scenes import GRID, LUNG_HU, PLAIN


def test_a_nodule_at_the_border_of_the_image_is_cut():
    rng = generator(2)
    outline = BlobOutline((22.0, -22.0, 0.0), 6.0, np.eye(3), random_waves(rng, 5, 9), 0.0)
    hu = np.full((64, 64), LUNG_HU, np.float32)

    paint_lesion(hu, Lesion(outline, tissue_of(PLAIN, outline, rng)), GRID, 0.0, 2.5)

    assert hu[0, 63] > -500
    assert hu[32, 32] == LUNG_HU
