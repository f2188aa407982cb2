import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from lidcflow.learn.own_malignancy_systems import (
    fit_forest,
    fit_ridge,
    fit_size,
    fit_svm,
    forest_arrays,
    machine_arrays,
)
from lidcflow.nodules.malignancy_scores import ANSWER, ridge_scores, size_scores, svm_scores
from lidcflow.nodules.trees import FOREST, forest_probability
from tests.learn.rated_cubes import rated_views


@pytest.fixture(scope="module")
def rated():
    return rated_views(24)


@pytest.fixture(scope="module")
def malignant(rated):
    return rated.rating >= 3


def test_a_forest_of_arrays_answers_as_scikit_learn_does():
    rng = np.random.default_rng(0)
    seen, asked = rng.normal(size=(2, 150, 7)).astype(np.float32).astype(np.float64)
    positive = seen[:, 0] + rng.normal(size=150) > 0
    forest = RandomForestClassifier(20, min_samples_leaf=3, random_state=0).fit(seen, positive)

    arrays = forest_arrays(forest)

    assert tuple(arrays) == FOREST
    for features in (seen, asked):
        expected = forest.predict_proba(features)[:, 1]
        np.testing.assert_allclose(forest_probability(arrays, features), expected, rtol=0, atol=1e-12)


def test_a_machine_of_arrays_answers_as_scikit_learn_does(rated, malignant):
    scaler = StandardScaler().fit(rated.views.qif)
    machine = SVC(gamma=0.02).fit(scaler.transform(rated.views.qif), malignant)

    found = svm_scores(machine_arrays(scaler, machine), rated.views)[ANSWER]

    np.testing.assert_allclose(found, machine.decision_function(scaler.transform(rated.views.qif)), atol=1e-9)


def test_the_width_of_the_machine_is_that_of_scikit_learn(rated, malignant):
    scaled = StandardScaler().fit_transform(rated.views.qif)

    found = svm_scores(fit_svm(rated, malignant, {}, 0), rated.views)[ANSWER]

    np.testing.assert_allclose(found, SVC(gamma="scale").fit(scaled, malignant).decision_function(scaled), atol=1e-6)


@pytest.mark.parametrize(("fit", "scores"), [(fit_size, size_scores), (fit_svm, svm_scores), (fit_ridge, ridge_scores)])
def test_scores_rise_with_malignancy(rated, malignant, fit, scores):
    found = scores(fit(rated, malignant, {}, 0), rated.views)[ANSWER]

    assert found[malignant].mean() > found[~malignant].mean()


def test_the_same_seed_grows_the_same_forest(rated, malignant):
    first, again, other = (fit_forest(rated.views.qif, malignant, seed, trees=5) for seed in (0, 0, 1))

    assert all(np.array_equal(first[name], again[name]) for name in FOREST)
    assert not np.array_equal(first["threshold"], other["threshold"])
