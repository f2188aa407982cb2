"""Figures of a release and its baselines on held-out patients."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lidcflow.labels.slices import NoduleSlices
from lidcflow.stats.bootstrap import bootstrap_interval, by_patient, pooled
from lidcflow.stats.estimate import ClassCounts, Estimate
from lidcflow.stats.held_out import (
    SLICE_FIGURES,
    HeldOut,
    balanced_accuracy,
    held_out_figures,
    sector_figures,
    sector_prior,
    uniform_every_k,
)
from lidcflow.stats.metrics import Study, sensitivity_at
from lidcflow.volume.sectors import sector_slices

LABELS = np.array([[0, 1, 0, 0], [0, 0, 2, 2]], dtype=np.int8)
NODULES = [[NoduleSlices(frozenset({1}), 1)], [NoduleSlices(frozenset({2, 3}), 2)]]
HELD_OUT = HeldOut(["ann", "bob"], LABELS, NODULES)
PRIOR = np.full((4, 3), [0.7, 0.2, 0.1])


def certain(labels):
    """Probabilities that put 0.8 on the true class."""
    return np.where(np.eye(3, dtype=bool)[labels], 0.8, 0.1)


def test_a_release_that_is_right_everywhere_finds_all_and_the_prior_ranks_nothing():
    figures = held_out_figures(HELD_OUT, certain(LABELS), PRIOR, seed=0, resamples=0)

    assert (figures.patients, figures.series, figures.nodules) == (2, 2, 2)
    assert figures.slices == ClassCounts(non_nodule=5, benign=1, malignant=2)
    assert figures.release["auroc_nodule"] == Estimate(value=1.0)
    assert figures.release["log_loss"].value == pytest.approx(-np.log(0.8))
    assert figures.sector_prior["auroc_nodule"] == Estimate(value=0.5)


def test_sensitivity_counts_a_nodule_that_one_of_the_reviewed_slices_shows():
    held_out = HeldOut(["ann"], np.zeros((1, 20), dtype=np.int8), [[NoduleSlices(frozenset({12, 13}), 1)]])
    p = np.full((1, 20, 3), [1.0, 0.0, 0.0])
    p[0, :7, 1] = 0.9

    figures = held_out_figures(held_out, p, np.full((20, 3), 1 / 3), seed=0, resamples=0)

    assert figures.release["sensitivity_at_5"].value == 0.0
    assert figures.uniform["sensitivity_at_10"].value == 1.0


def test_intervals_come_from_drawing_patients():
    figures = held_out_figures(HELD_OUT, certain(LABELS), PRIOR, seed=0, resamples=50)

    accuracy = figures.release["accuracy"]
    assert (accuracy.low, accuracy.value, accuracy.high) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("studies", [40, 7, 2])
def test_every_interval_is_that_of_slices_put_together_draw_by_draw(studies):
    rng = np.random.default_rng(studies)
    keys = [f"patient {i % max(2, studies * 3 // 4)}" for i in range(studies)]  # some have two studies
    labels = rng.choice(3, size=(studies, 12), p=[0.85, 0.1, 0.05]).astype(np.int8)
    probabilities = rng.dirichlet([5, 1, 1], size=labels.shape).round(2)  # ties
    nodules = [[NoduleSlices(frozenset({int(i)}), 1) for i in np.flatnonzero(row)] for row in labels]

    figures = held_out_figures(HeldOut(keys, labels, nodules), probabilities, PRIOR[:1], seed=5, resamples=60).release

    rows = by_patient(np.repeat(keys, 12), probabilities.reshape(-1, 3), labels.ravel())
    for name, figure in SLICE_FIGURES.items():
        low, high = bootstrap_interval(pooled(figure), rows, seed=5, resamples=60)
        assert (figures[name].low, figures[name].high) == pytest.approx((low, high), abs=1e-12), name
    shown = [
        [sensitivity_at([Study(p[:, 1:].sum(1), tuple(found))], 5) * len(found), len(found)] if found else [0, 0]
        for p, found in zip(probabilities, nodules, strict=True)
    ]
    low, high = bootstrap_interval(
        pooled(lambda found: found[:, 0].sum() / found[:, 1].sum() if found[:, 1].any() else np.nan),
        by_patient(keys, np.array(shown)),
        5,
        60,
    )
    assert (figures["sensitivity_at_5"].low, figures["sensitivity_at_5"].high) == pytest.approx((low, high))


def test_a_figure_that_the_data_do_not_define_is_none():
    figures = sector_figures(certain(np.zeros(4, dtype=np.int8)), np.zeros(4, dtype=np.int8))

    assert figures["auroc_nodule"] == Estimate(value=None)
    assert figures["accuracy"] == Estimate(value=1.0)


def test_balanced_accuracy_weighs_each_class_alike():
    called_none = np.full((10, 3), [0.8, 0.1, 0.1])

    assert balanced_accuracy(called_none, np.array([0] * 9 + [1])) == pytest.approx(0.5)


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
