import numpy as np
import pytest

from lidcflow.stats.height_prior import height_prior


def of(labels):
    labels = np.asarray(labels)
    return np.tile(np.arange(labels.shape[1]), len(labels)), labels.ravel()


def test_each_height_has_the_class_shares_of_the_training_slices_at_and_about_it():
    labels = np.zeros((200, 65), dtype=np.int64)
    labels[:100, 40:] = 1
    labels[100:150, 40:] = 2

    prior = height_prior(*of(labels), 65)

    np.testing.assert_allclose(prior.sum(axis=1), 1)
    np.testing.assert_allclose(prior[10], [1, 0, 0], atol=0.003)
    np.testing.assert_allclose(prior[60], [0.25, 0.5, 0.25], atol=0.003)
    assert (np.diff(prior[:, 1]) > -1e-12).all()  # the edge is smoothed, not moved
    assert prior[39, 1] < 0.25 < prior[40, 1]


def test_no_class_is_impossible_and_one_series_weighs_as_much_as_the_whole_chest():
    (above, below) = height_prior(np.array([0, 1]), np.array([0, 0]), 2)

    # The whole chest has shares of (2 + 1, 1, 1) / 5; each height holds one slice of class 0 beside them.
    np.testing.assert_allclose(above, [0.8, 0.1, 0.1])
    np.testing.assert_allclose(below, above)


def test_heights_without_training_slices_take_the_shares_of_the_whole_chest():
    prior = height_prior(np.zeros(97, dtype=np.int64), np.zeros(97, dtype=np.int64), 65)

    np.testing.assert_allclose(prior[64], [0.98, 0.01, 0.01])


@pytest.mark.parametrize("slices", [8, 65, 130])
def test_the_smoothing_is_a_share_of_the_height(slices):
    labels = np.zeros((10_000, slices), dtype=np.int64)
    labels[:, slices // 2 :] = 1

    prior = height_prior(*of(labels), slices)

    inside = ((prior[:, 1] > 0.16) & (prior[:, 1] < 0.84)).sum() / slices  # one deviation to either side
    assert inside == pytest.approx(2 * 3 / 65, abs=1 / slices)
