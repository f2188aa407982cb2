from dataclasses import replace

import numpy as np
import pytest

from lidcflow.learn.own_malignancy_choice import (
    LEVEL,
    Judged,
    choose_malignancy,
    cross_calibrated,
    fit_score_calibration,
    is_better,
)
from lidcflow.nodules.malignancy_answer import calibrated
from lidcflow.stats.estimate import Estimate


@pytest.fixture(scope="module")
def judged():
    """Return 120 nodules of 60 patients: the own system knows them well, the embedded one hardly."""
    rng = np.random.default_rng(0)
    rating = rng.choice([1.0, 2.0, 3.5, 4.5], 120)
    truth = np.where(rating >= 3, 1.0, -1.0)
    spreads = {"own": 0.6, "size": 2.0, "embedded": 2.5}
    noisy = {name: truth + rng.normal(0, spread, 120) for name, spread in spreads.items()}
    return Judged(
        patient=np.array([f"patient {i // 2}" for i in range(120)]),
        rating=rating,
        score=noisy["own"],
        parts={"cnn": noisy["size"]},
        size_score=noisy["size"],
        embedded=1 / (1 + np.exp(-noisy["embedded"])),
    )


def choose(judged, kind="svm", **options):
    return choose_malignancy(judged, kind=kind, name="SVM on QIF of this store", seed=0, **options)


def test_a_system_that_is_surely_better_is_chosen(judged):
    choice = choose(judged)

    assert choice.own
    assert "SVM on QIF of this store was better than the embedded one, on 120 nodules of 60 validation" in choice.reason
    assert "98.75% interval, as 4 systems are tried on the same patients" in choice.reason


def test_a_system_that_is_as_good_as_the_embedded_one_is_not_chosen(judged):
    choice = choose(replace(judged, embedded=calibrated(judged.score, {"intercept": 0.0, "slope": 4.0})))

    assert not choice.own
    assert "not surely better than the embedded one" in choice.reason


def test_size_alone_is_never_chosen(judged):
    choice = choose(judged, "size")

    assert not choice.own
    assert "a baseline, which never takes the place of the embedded one" in choice.reason


def test_figures_are_those_of_all_designs_systems_and_parts(judged):
    figures = choose(judged).figures

    for design in ("", "_s1_s45", "_s12_s45"):
        assert {f"auroc{design}{who}" for who in ("", "_embedded", "_size", "_cnn")} <= figures.keys()
    narrow, wide = (figures[f"auroc_difference{kind}"] for kind in ("", "_decisive"))
    assert wide.low < narrow.low < narrow.value == wide.value < narrow.high < wide.high
    assert LEVEL == 0.9875


def test_patients_that_the_embedded_system_knows_are_told(judged):
    assert "trained on" not in choose(judged).reason
    assert choose(judged, known=7).reason.endswith(
        "the embedded one was trained on 7 of the 60 patients, so that its figures are too good"
    )


@pytest.mark.parametrize(
    ("auroc", "log_loss", "better"),
    [
        ((0.1, 0.01, 0.2), (0.0, -0.1, 0.1), True),
        ((0.1, 0.01, 0.2), (0.01, -0.1, 0.1), False),
        ((0.0, -0.1, 0.1), (-0.1, -0.2, -0.01), True),
        ((-0.01, -0.1, 0.1), (-0.1, -0.2, -0.01), False),
        ((0.1, -0.01, 0.2), (-0.1, -0.2, 0.01), False),
        ((0.1, None, None), (-0.1, None, None), False),
    ],
)
def test_one_figure_must_be_surely_better_and_the_other_one_no_worse(auroc, log_loss, better):
    differences = (Estimate(value=value, low=low, high=high) for value, low, high in (auroc, log_loss))

    assert is_better(*differences) is better


def test_a_calibration_does_not_depend_on_the_scale_of_scores():
    rng = np.random.default_rng(0)
    malignant = rng.random(200) < 0.3
    score = malignant + rng.normal(0, 1, 200)

    plain, scaled = (calibrated(one, fit_score_calibration(one, malignant)) for one in (score, 100 + 0.01 * score))

    np.testing.assert_allclose(plain, scaled, atol=1e-6)
    assert plain.mean() == pytest.approx(malignant.mean(), abs=0.01)


def test_a_nodule_is_calibrated_on_other_patients(judged):
    malignant = judged.rating >= 3
    flipped = np.where(judged.patient == "patient 0", ~malignant, malignant)

    before, after = (cross_calibrated(judged.score, one, np.array(judged.patient)) for one in (malignant, flipped))

    of_patient = judged.patient == "patient 0"
    if malignant[of_patient].any() == flipped[of_patient].any():
        np.testing.assert_array_equal(before[of_patient], after[of_patient])
    assert not np.array_equal(before[~of_patient], after[~of_patient])


def test_where_others_are_of_one_kind_all_are_calibrated_on():
    malignant, score = np.array([True, False, True, True]), np.array([1.0, -1.0, 2.0, 1.0])

    found = cross_calibrated(score, malignant, np.array(["a", "a", "b", "c"]))

    assert np.isfinite(found).all()
