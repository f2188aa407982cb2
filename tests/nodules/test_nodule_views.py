import numpy as np

from lidcflow.nodules.malignancy import embedded_malignancy
from lidcflow.nodules.nodule_views import joined, trusted, views_of
from lidcflow.nodules.outline import outline_of
from tests.nodules.test_malignancy import cube_with_ball


def ramp():
    """Return a cube whose HU name the voxel: slice, row and column."""
    z, row, column = np.indices((48, 48, 48))
    return (z * 1 + row * 10 + column * 0 - 500).astype(np.int16)


def test_the_block_of_a_cube_of_narrow_voxels_is_cut_out_of_it():
    cube = ramp()

    block = views_of(cube, 0.75, None).block[0]

    np.testing.assert_array_equal(block, cube[22:27, 14:35, 14:35])


def test_the_block_of_a_cube_of_wide_voxels_shows_the_same_place_in_narrow_ones():
    narrow, wide = (views_of(cube_with_ball(8.0, voxel_mm=mm), mm, None).block[0] for mm in (0.75, 1.5))

    assert abs((narrow > -400).sum() - (wide > -400).sum()) < 0.25 * (narrow > -400).sum()


def test_planes_are_the_axial_at_the_outline_and_those_through_the_middle():
    cube = ramp()
    outline = outline_of((cube_with_ball(6.0) > -400).astype(np.float32), 0.75)

    planes = views_of(cube, 0.75, outline).planes[0]

    np.testing.assert_array_equal(planes[0], cube[outline.middle])
    np.testing.assert_array_equal(planes[1], cube[:, 24])
    np.testing.assert_array_equal(planes[2], cube[:, :, 24])


def test_the_size_is_the_long_axis_and_without_an_outline_that_of_the_mask():
    cube = cube_with_ball(12.0)
    outline = outline_of((cube > -400).astype(np.float32), 0.75)

    assert views_of(cube, 0.75, outline).size_mm[0] == outline.long_axis_mm
    assert abs(views_of(cube, 0.75, None).size_mm[0] - 12) < 1.5


def test_views_answer_as_the_image_does():
    cube = cube_with_ball(9.0)

    p = embedded_malignancy().probabilities(views_of(cube, 0.75, None))

    assert p[0] == embedded_malignancy().answer(cube, 0.75, None, 9.0).probability


def test_views_are_joined_and_taken_apart():
    first, second = (views_of(cube_with_ball(size), 0.75, None) for size in (6.0, 14.0))

    both = joined([first, second])

    assert len(both) == 2
    np.testing.assert_array_equal(both.take(np.array([1])).planes, second.planes)
    np.testing.assert_array_equal(both.take(np.array([True, False])).qif, first.qif)


def test_an_outline_that_is_cut_or_smaller_than_a_voxel_is_not_trusted():
    whole = outline_of((cube_with_ball(12.0) > -400).astype(np.float32), 0.75)
    edge = np.zeros((48, 48, 48), np.float32)
    edge[20:28, 20:28, 22:] = 1

    assert trusted(whole, 0.75) is whole
    assert trusted(outline_of(edge, 0.75), 0.75) is None
    assert trusted(whole, 20.0) is None
    assert trusted(None, 0.75) is None
