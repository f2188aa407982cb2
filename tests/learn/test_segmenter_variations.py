import numpy as np
import pytest

from lidcflow.learn.segmenter_variations import SIDE, OutlinedCube, varied_view


def cube_of(radius):
    away = np.sqrt(((np.indices((51, 51, 51)) - 26.5) ** 2).sum(axis=0))
    mask = (away <= radius).astype(np.float32)
    return OutlinedCube(200 * mask + 20, mask, 1.0)


@pytest.mark.parametrize("seed", range(4))
def test_a_view_shows_the_nodule_where_its_mask_is(seed):
    grey, mask, pitch_mm = varied_view(cube_of(6), np.random.default_rng(seed))

    assert grey.shape == mask.shape == (SIDE, SIDE, SIDE)
    assert grey[mask > 0.9].mean() > grey[mask == 0].mean() + 100
    assert 0.65 <= pitch_mm <= 1.7


def test_a_nodule_has_more_voxels_at_a_finer_pitch():
    views = [varied_view(cube_of(6), np.random.default_rng(seed)) for seed in range(12)]
    diameters = [pitch_mm * mask.sum() ** (1 / 3) for _, mask, pitch_mm in views]

    assert max(diameters) / min(diameters) < 1.2 / 0.85 + 0.05


def test_large_nodules_are_shown_at_a_coarse_pitch():
    pitches = [varied_view(cube_of(14), np.random.default_rng(seed))[2] for seed in range(12)]

    assert min(pitches) >= 1.0


def test_the_same_seed_makes_the_same_view():
    first, again = (varied_view(cube_of(5), np.random.default_rng(3))[0] for _ in range(2))

    np.testing.assert_array_equal(first, again)
