import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.transform import downscale_local_mean

from lidcflow.ct.plane import reduce_plane
from lidcflow.ct.resample import area_weights

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
