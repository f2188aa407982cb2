import numpy as np

from lidcflow.volume.lungs import lung_extent_mm

EDGES_MM = np.linspace(65.0, 0.0, 14)
CELL_MM2 = 100.0
TISSUE, LUNG, AIR = 40, -850, -1000


def chest():
    hu = np.full((13, 40, 40), AIR, np.int16)
    hu[:, 5:35, 5:35] = TISSUE
    return hu


def test_lungs_are_found_from_the_first_to_the_last_slab_with_lung():
    hu = chest()
    hu[3:9, 10:30, 10:18] = LUNG
    hu[3:9, 10:30, 22:30] = LUNG

    assert lung_extent_mm(hu, EDGES_MM, CELL_MM2) == (50.0, 20.0)


def test_the_windpipe_above_is_not_lung():
    hu = chest()
    hu[3:9, 10:30, 10:30] = LUNG
    hu[0:3, 19:21, 19:21] = AIR

    assert lung_extent_mm(hu, EDGES_MM, CELL_MM2) == (50.0, 20.0)


def test_air_in_the_stomach_is_not_lung():
    hu = chest()
    hu[3:9, 10:30, 10:30] = LUNG
    hu[11, 20:26, 20:26] = AIR

    assert lung_extent_mm(hu, EDGES_MM, CELL_MM2) == (50.0, 20.0)


def test_the_room_is_not_lung():
    assert lung_extent_mm(chest(), EDGES_MM, CELL_MM2) is None


def test_a_bubble_is_not_a_pair_of_lungs():
    hu = chest()
    hu[3:5, 20:24, 20:24] = AIR

    assert lung_extent_mm(hu, EDGES_MM, CELL_MM2) is None
