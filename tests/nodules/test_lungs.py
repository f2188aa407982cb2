import numpy as np

from lidcflow.nodules.grid import Scan, work_grid
from lidcflow.nodules.lungs import find_lungs
from tests.nodules.chest import chest


def lungs_of(*arguments, **options):
    return find_lungs(work_grid(Scan(*chest(*arguments, **options))))


def test_lungs_are_the_air_in_the_body():
    lungs = lungs_of()

    assert lungs.air[35, 50, 30]
    assert lungs.air[35, 50, 90]
    assert not lungs.air[35, 50, 60]
    assert not lungs.air[35, 2, 2]


def test_lungs_are_closed_over_a_nodule_in_them_and_one_at_their_wall():
    inside, at_wall = ((35, 50, 32), 9, 40), ((35, 50, 104), 9, 40)

    lungs = lungs_of([inside, at_wall])

    assert not lungs.air[35, 50, 32]
    assert lungs.closed[35, 50, 32]
    assert not lungs.air[35, 50, 102]
    assert lungs.closed[35, 50, 102]


def test_the_hull_holds_a_mass_that_the_lungs_are_not_closed_over():
    lungs = lungs_of([((35, 50, 104), 30, 40)])

    assert not lungs.closed[35, 50, 97]
    assert lungs.hull[35, 50, 97]


def test_there_are_none_in_a_block():
    assert lungs_of(lungs=False) is None


def test_lungs_at_the_rim_of_the_images_are_found():
    hu, z_mm, pixel_mm = chest()

    lungs = find_lungs(work_grid(Scan(hu[:, :, 25:].copy(), z_mm, pixel_mm)))

    assert lungs.air[35, 50, 65]


def test_masks_are_as_large_as_the_grid_where_it_is_odd():
    hu, z_mm, pixel_mm = chest()
    grid = work_grid(Scan(hu[:69, :99, :119].copy(), z_mm[:69], pixel_mm))

    lungs = find_lungs(grid)

    assert lungs.air.shape == lungs.closed.shape == lungs.hull.shape == grid.hu.shape
    assert np.count_nonzero(lungs.air) > 1000


def test_lungs_cut_by_all_sides_of_a_narrow_field_of_view_are_found_both():
    hu, z_mm, pixel_mm = chest()
    narrow = np.ascontiguousarray(hu[:, 24:76, 20:100])

    found = find_lungs(work_grid(Scan(narrow, z_mm, pixel_mm)))

    assert found.air[35, 25, [10, 70]].all()
