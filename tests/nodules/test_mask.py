import numpy as np
import pytest

from lidcflow.nodules.mask import mask_of


def test_a_mask_is_read_back_as_the_box_around_it():
    cube = np.zeros((48, 48, 48), bool)
    cube[20:25, 24, 10:13] = True
    cube[20, 24, 10] = False

    mask = mask_of(cube, 0.75)

    np.testing.assert_array_equal(mask.voxels(), cube[20:25, 24:25, 10:13])
    assert mask.first_mm == pytest.approx((-3.5 * 0.75, 0.5 * 0.75, -13.5 * 0.75))


def test_points_of_a_plane_are_inside_as_their_voxel_is():
    cube = np.zeros((4, 4, 4), bool)
    cube[1, 2, 1:3] = True

    mask = mask_of(cube, 1.0)

    rows_mm, columns_mm = np.array([-0.4, 0.1, 0.9, 1.1]), np.array([-1.2, -0.9, 0.0, 0.9, 1.2])
    inside = mask.plane(-0.5, rows_mm, columns_mm)
    assert inside.astype(int).tolist() == [[0, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0]]
    assert not mask.plane(0.6, rows_mm, columns_mm).any()


def test_bits_that_are_not_those_of_the_box_are_refused():
    mask = mask_of(np.ones((4, 4, 4), bool), 1.0)

    with pytest.raises(ValueError, match="mask: bits must be those of 1000 voxels"):
        mask.model_copy(update={"shape": (10, 10, 10)}).voxels()
