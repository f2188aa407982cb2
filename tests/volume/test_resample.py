import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.transform import downscale_local_mean

from lidcflow.volume.resample import (
    area_weights,
    centre_edges_mm,
    overlaps_mm,
    reduce_plane,
    slab_edges_mm,
    slab_weights,
)

steps_mm = st.lists(st.floats(0.5, 5), min_size=7, max_size=60)
slab_counts = st.integers(1, 80)


def positions(steps, top_mm=100.0):
    return top_mm - np.concatenate([[0.0], np.cumsum(steps)])


def grid(z_mm, slices):
    h_mm = float(np.median(-np.diff(z_mm))) / 2
    return h_mm, slab_edges_mm(z_mm[0], z_mm[-1], h_mm, slices)


def test_edges_reach_half_a_spacing_beyond_the_outer_slices():
    edges_mm = slab_edges_mm(9.0, 1.0, 1.0, 5)

    np.testing.assert_allclose(edges_mm, [10, 8, 6, 4, 2, 0])


def test_equal_grids_give_the_identity():
    z_mm = np.array([9.0, 7.0, 5.0, 3.0, 1.0])

    weights = slab_weights(z_mm, 1.0, slab_edges_mm(9.0, 1.0, 1.0, 5))

    np.testing.assert_allclose(weights, np.eye(5))


def test_a_slab_over_one_and_a_half_slices_weighs_them_two_to_one():
    z_mm = np.array([5.0, 3.0, 1.0])

    weights = slab_weights(z_mm, 1.0, slab_edges_mm(5.0, 1.0, 1.0, 2))

    np.testing.assert_allclose(weights, [[2 / 3, 1 / 3, 0], [0, 1 / 3, 2 / 3]])


@given(steps_mm, slab_counts, st.sampled_from([None, 1.0, 2.5]))
def test_the_weights_of_every_slab_add_up_to_one(steps, slices, via_mm):
    z_mm = positions(steps)
    h_mm, edges_mm = grid(z_mm, slices)

    weights = slab_weights(z_mm, h_mm, edges_mm, via_mm=via_mm)

    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(axis=1), 1)


@given(steps_mm, slab_counts)
def test_every_source_slice_has_its_whole_weight_somewhere(steps, slices):
    z_mm = positions(steps)
    h_mm, edges_mm = grid(z_mm, slices)

    lengths_mm = overlaps_mm(z_mm, h_mm, edges_mm)

    np.testing.assert_allclose(lengths_mm.sum(axis=0), 2 * h_mm, atol=1e-4)


@given(st.integers(8, 100), st.floats(0.5, 5), slab_counts)
def test_mass_is_conserved_on_an_even_grid(n, spacing_mm, slices):
    z_mm = 50 - spacing_mm * np.arange(n)
    h_mm, edges_mm = grid(z_mm, slices)
    hu = np.random.default_rng(n).integers(-1000, 1000, n)

    slabs = slab_weights(z_mm, h_mm, edges_mm) @ hu

    assert slabs.mean() == pytest.approx(hu.mean(), abs=0.1)


@given(steps_mm, slab_counts, st.floats(-500, 500))
def test_a_shifted_scan_has_the_same_weights(steps, slices, shift_mm):
    z_mm = positions(steps)
    h_mm, edges_mm = grid(z_mm, slices)

    shifted = slab_weights(z_mm + shift_mm, h_mm, edges_mm + shift_mm)

    np.testing.assert_allclose(shifted, slab_weights(z_mm, h_mm, edges_mm), atol=1e-4)


@given(steps_mm, slab_counts, st.randoms(use_true_random=False))
def test_the_order_of_the_input_is_irrelevant(steps, slices, random):
    z_mm = positions(steps)
    h_mm, edges_mm = grid(z_mm, slices)
    order = list(range(len(z_mm)))
    random.shuffle(order)

    shuffled = slab_weights(z_mm[order], h_mm, edges_mm)

    np.testing.assert_allclose(shuffled, slab_weights(z_mm, h_mm, edges_mm)[:, order])


@given(st.integers(8, 60), slab_counts, st.floats(0.3, 3))
def test_two_steps_are_one_matrix(n, slices, via_mm):
    z_mm = 50 - 2.0 * np.arange(n)
    h_mm, edges_mm = grid(z_mm, slices)
    hu = np.random.default_rng(n).integers(-1000, 1000, n)
    cells = max(1, round(2.0 * n / via_mm))
    middle_mm = slab_edges_mm(z_mm[0], z_mm[-1], h_mm, cells)
    centres_mm = (middle_mm[:-1] + middle_mm[1:]) / 2

    at_once = slab_weights(z_mm, h_mm, edges_mm, via_mm=via_mm) @ hu
    first = slab_weights(z_mm, h_mm, middle_mm) @ hu
    second = slab_weights(centres_mm, n / cells, edges_mm) @ first

    np.testing.assert_allclose(at_once, second, atol=1e-6)


def test_a_slab_in_a_gap_takes_its_neighbours_by_distance():
    z_mm = np.array([9.0, 7.0, -1.0, -3.0])

    weights = slab_weights(z_mm, 1.0, np.array([4.5, 3.5]))

    np.testing.assert_allclose(weights, [[0, 5 / 8, 3 / 8, 0]])


def test_touching_within_rounding_is_no_overlap():
    lengths_mm = overlaps_mm(np.array([1.0]), 1.0, np.array([4.0, 2.0 - 1e-9, 0.0]))

    np.testing.assert_allclose(lengths_mm, [[0], [2]], atol=1e-6)
    assert lengths_mm[0, 0] == 0


def test_the_centre_is_the_middle_at_one_millimetre():
    edges_mm = centre_edges_mm(np.array([100.0, 0.0]), 65)

    assert (edges_mm[0], edges_mm[-1], len(edges_mm)) == (82.5, 17.5, 66)


def test_a_scan_shorter_than_the_centre_has_none():
    assert centre_edges_mm(np.array([60.0, 0.0]), 65) is None


@given(st.integers(1, 600), st.integers(1, 200))
def test_every_pixel_is_shared_out_whole(source, target):
    weights = area_weights(source, target)

    np.testing.assert_allclose(weights.sum(axis=1), 1)
    np.testing.assert_allclose(weights.sum(axis=0), target / source)


shapes = st.tuples(st.integers(16, 90), st.integers(16, 90))


def noise(shape, seed=0):
    return np.random.default_rng(seed).integers(-1024, 3072, shape).astype(np.int16)


def test_a_cell_holds_the_mean_and_the_maximum_of_its_pixels():
    hu = np.array([[0, 4, 10, 10], [8, 0, 10, 50]] * 2, np.int16)

    mean, peak = reduce_plane(hu, 2)

    np.testing.assert_array_equal(mean, [[3, 20], [3, 20]])
    np.testing.assert_array_equal(peak, [[8, 50], [8, 50]])


@pytest.mark.parametrize(("pixels", "size"), [(512, 128), (512, 64), (768, 128), (1024, 128), (384, 128)])
def test_whole_blocks_agree_with_scikit_image(pixels, size):
    hu = noise((pixels, pixels))
    block = pixels // size

    mean, peak = reduce_plane(hu, size)

    np.testing.assert_allclose(mean, downscale_local_mean(hu.astype(float), (block, block)), atol=1e-3)
    np.testing.assert_array_equal(peak, hu.reshape(size, block, size, block).max(axis=(1, 3)))


@pytest.mark.parametrize("value", [-1024, 0, 3071])
@pytest.mark.parametrize(("pixels", "size"), [(512, 128), (512, 64), (512, 100), (1024, 128)])
def test_a_constant_stays_constant_at_both_ends_of_the_scale(pixels, size, value):
    mean, peak = reduce_plane(np.full((pixels, pixels), value, np.int16), size)

    np.testing.assert_allclose(mean, value, atol=1e-2)
    np.testing.assert_array_equal(peak, value)


@given(shapes, st.integers(16, 64))
def test_any_matrix_agrees_with_the_product_of_the_area_weights(shape, size):
    hu = noise(shape, sum(shape))

    mean, _ = reduce_plane(hu, size)

    expected = area_weights(shape[0], size) @ hu @ area_weights(shape[1], size).T
    np.testing.assert_allclose(mean, expected, atol=0.01)


@given(shapes, st.integers(16, 64))
def test_the_peak_is_the_highest_pixel_that_overlaps_a_cell(shape, size):
    hu = noise(shape, sum(shape))
    rows, columns = (area_weights(pixels, size) > 0 for pixels in shape)

    _, peak = reduce_plane(hu, size)

    cells = [(0, 0), (size // 2, size // 3), (size - 1, size - 1)]
    assert [peak[cell] for cell in cells] == [hu[np.ix_(rows[i], columns[j])].max() for i, j in cells]


@given(shapes, st.integers(16, 64))
def test_the_mean_of_a_slice_is_kept(shape, size):
    hu = noise(shape, sum(shape))

    mean, _ = reduce_plane(hu, size)

    assert mean.mean(dtype=float) == pytest.approx(hu.mean(), abs=0.01)
