"""The lung of a phantom."""

import numpy as np

from lidcflow.phantom.anatomy import lung_distance


def test_nodules_lie_in_the_modelled_lung(phantom):
    for lesion in phantom.scene.lesions:
        x, y, depth_mm = (np.array([value]) for value in lesion.outline.centre_mm)
        assert lung_distance(phantom.scene.chest, x, y, depth_mm) < 0
