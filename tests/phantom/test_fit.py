"""A chest that fits its nodules."""

from dataclasses import replace

import numpy as np

from lidcflow.phantom.anatomy import lung_distance
from lidcflow.phantom.chest import random_chest, random_frame
from lidcflow.phantom.fit import fit_chest
from lidcflow.phantom.scene import generator


def test_a_chest_is_pushed_out_to_a_nodule_beside_the_lung():
    rng = generator(5)
    chest = random_chest(rng, random_frame(rng, 350.0, 300.0), contrast_used=False)
    wall = type("Spot", (), {"centre_mm": (chest.frame.half_width_mm + 6.0, 20.0, 150.0), "radius_mm": 4.0})

    fitted = fit_chest(rng, replace(chest, warp_size_mm=0.0), [wall()], 350.0, 300.0)

    assert lung_distance(fitted, *(np.array([value]) for value in wall.centre_mm)) < 0
