import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lidcflow.learn.baselines import sector_prior, uniform_every_k
from lidcflow.learn.sectors import sector_slices


def test_the_prior_of_a_slice_is_the_class_shares_of_its_sector():
    slice_indices = np.repeat([0, 1], 1000)
    labels = np.concatenate([np.zeros(1000, dtype=int), np.repeat([0, 1, 2], [500, 300, 200])])

    prior = sector_prior(slice_indices, labels, sector_slices(2, 2))

    np.testing.assert_allclose(prior, [[1.0, 0.0, 0.0], [0.5, 0.3, 0.2]], atol=0.001)


def test_slices_of_a_sector_share_a_prior_and_no_class_is_impossible():
    prior = sector_prior(np.array([0, 1, 2, 3]), np.array([0, 0, 0, 2]), sector_slices(4, 2))

    np.testing.assert_array_equal(prior[0], prior[1])
    assert (prior > 0).all()
    np.testing.assert_allclose(prior.sum(axis=1), 1.0)


def test_a_sector_without_training_slices_has_the_prior_of_all():
    prior = sector_prior(np.array([0, 0]), np.array([0, 2]), sector_slices(2, 2))

    np.testing.assert_allclose(prior[1], [2 / 5, 1 / 5, 2 / 5])


def test_uniform_review_takes_the_middle_of_equal_parts():
    assert uniform_every_k(65, 1).tolist() == [32]
    assert uniform_every_k(65, 5).tolist() == [6, 19, 32, 45, 58]


@given(st.integers(1, 200), st.data())
def test_uniform_review_takes_n_distinct_slices_of_the_volume(n_slices: int, data: st.DataObject):
    n = data.draw(st.integers(1, n_slices))

    chosen = uniform_every_k(n_slices, n)

    assert len(set(chosen.tolist())) == n
    assert chosen.min() >= 0
    assert chosen.max() < n_slices


def test_reviewing_all_slices_uniformly_is_reviewing_all():
    assert uniform_every_k(7, 7).tolist() == list(range(7))
