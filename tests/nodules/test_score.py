import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from lidcflow.nodules.fit import Examples, fit_trees
from lidcflow.nodules.score import MASS_AIR, Trees, embedded_trees, nodule_score
from lidcflow.nodules.table import CANDIDATE, FEATURES, GROUND_GLASS, MASS, feature_matrix


def test_a_row_goes_down_each_tree_and_its_leaves_add_up():
    feature = np.array([[0, 1, 1, 0, 0, 0, 0]], np.int16)
    threshold = np.array([[0, 10, 20, np.inf, np.inf, np.inf, np.inf]], np.float32)
    trees = Trees(feature, threshold, np.array([[1, 0, 2, 0, 3, 0, 4, 0]], np.float32), 0.5)

    rows = np.array([[-1, 5], [-1, 15], [1, 15], [1, 25]], np.float32)

    assert trees.log_odds(rows).tolist() == [1.5, 2.5, 3.5, 4.5]


def test_trees_are_read_back_as_they_were_saved():
    trees = embedded_trees()

    assert Trees.loaded(trees.saved()).saved() == trees.saved()
    assert trees.feature.max() <= len(FEATURES)


def test_features_are_the_columns_and_whether_it_is_ground_glass():
    table = np.zeros(2, CANDIDATE)
    table["sigma_mm"], table["channel"] = [3.1, 4.4], [GROUND_GLASS, MASS]

    matrix = feature_matrix(table)

    assert matrix.shape == (2, len(FEATURES) + 1)
    assert matrix[:, 0] == pytest.approx([3.1, 4.4])
    assert matrix[:, -1].tolist() == [1, 0]


def test_a_mass_counts_by_the_air_around_it():
    table = np.zeros(3, CANDIDATE)
    table["channel"], table["raw_shell_air"] = MASS, [MASS_AIR[0], sum(MASS_AIR) / 2 + MASS_AIR[0] / 2, 1]

    score = nodule_score(table)

    assert score[0] == 0
    assert score[1] < score[2]


def test_trees_that_are_fitted_tell_what_they_were_shown():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(400, len(FEATURES) + 1)).astype(np.float32)
    is_nodule = (features[:, 0] > 0) & (features[:, 5] > 0)

    with threadpool_limits(1):  # more threads would wait for each other at every node
        trees = fit_trees(Examples(features, is_nodule, np.ones(400), np.arange(400)))

    assert ((trees.log_odds(features) > 0) == is_nodule).mean() > 0.95
