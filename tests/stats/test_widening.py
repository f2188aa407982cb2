"""Probabilities are drawn towards a prior by a temperature."""

import numpy as np
import pytest

from lidcflow.stats.widening import widen

PRIOR = (0.9, 0.06, 0.04)


def test_a_temperature_of_one_leaves_probabilities_as_they_are():
    own = np.array([[0.7, 0.2, 0.1], [0.01, 0.01, 0.98]])

    np.testing.assert_allclose(widen(own, PRIOR, 1.0), own)


def test_the_logits_of_nodule_and_of_malignant_among_nodules_are_divided_by_the_temperature():
    own = np.array([[0.1, 0.27, 0.63]])  # nodule 0.9, malignant 0.7 of it

    widened = widen(own, (0.5, 0.25, 0.25), 2.0)

    nodule, malignant = 3 / 4, np.sqrt(7) / (np.sqrt(7) + np.sqrt(3))  # odds of 9 and of 7/3, square roots of both
    np.testing.assert_allclose(widened, [[1 - nodule, nodule * (1 - malignant), nodule * malignant]])


def test_an_infinite_temperature_leaves_the_prior_alone():
    np.testing.assert_allclose(widen(np.array([[0.0, 0.0, 1.0]]), PRIOR, np.inf), [PRIOR])


@pytest.mark.parametrize("own", [(0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)])
def test_certainty_far_from_training_becomes_doubt(own):
    widened = widen(np.array([own]), PRIOR, 20.0)

    assert widened.sum() == pytest.approx(1)
    assert 0.02 < widened[0, 1:].sum() < 0.3


def test_slices_keep_their_order():
    own = np.random.default_rng(0).dirichlet((3, 1, 1), 200)

    before, after = own[:, 1:].sum(axis=1), widen(own, PRIOR, 7.5)[:, 1:].sum(axis=1)

    np.testing.assert_array_equal(np.argsort(before), np.argsort(after))


def test_a_temperature_that_narrows_is_refused():
    with pytest.raises(ValueError, match=r"temperature: must be at least 1, got 0\.5"):
        widen(np.array([[0.5, 0.25, 0.25]]), PRIOR, 0.5)
