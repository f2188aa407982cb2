from dataclasses import replace

import numpy as np

from lidcflow.learn.own_choice import (
    LEAST_THRESHOLD,
    MOST_FINDINGS,
    JudgedSeries,
    choose,
    cross_fitted,
    fit_calibration,
    folds_of,
    threshold_for,
)
from lidcflow.nodules.truth import Kind


def series(patient, *, own=0.0, embedded=0.0, n=30, nodules=2):
    """Return a series whose first candidates are in nodules; the numbers say how well either detector knows."""
    rng = np.random.default_rng(patient)
    nodule = np.arange(n) < nodules
    kind = np.where(nodule, Kind.NODULE, Kind.NEGATIVE)
    score = rng.uniform(0.1, 1, n)
    logits = rng.normal(-3, 1, n) + own * nodule
    p = 1 / (1 + np.exp(-(rng.normal(-3, 1, n) + embedded * nodule)))
    return JudgedSeries(f"patient {patient}", kind, np.where(nodule, np.arange(n), -1), nodules, score, logits, p)


def test_a_detector_that_ranks_surely_better_is_chosen():
    chosen = choose([series(i, own=6, embedded=0.5) for i in range(12)], seed=0)

    assert chosen.own
    assert chosen.figures["cpm_difference"].low > 0
    assert "better than the embedded one, on 12 validation patients" in chosen.reason
    assert chosen.curves.keys() == {"own detector", "embedded detector", "filter"}


def test_a_detector_that_is_worse_is_not():
    chosen = choose([series(i, own=0.5, embedded=6) for i in range(12)], seed=0)

    assert not chosen.own
    assert "not surely better than the embedded one, which is kept" in chosen.reason


def test_a_detector_that_says_the_same_is_not():
    judged = [series(i, own=6) for i in range(12)]
    alike = [replace(one, embedded=p) for one, p in zip(judged, cross_fitted(judged), strict=True)]

    assert not choose(alike, seed=0).own


def test_one_patient_more_is_no_proof():
    chosen = choose([series(0, own=6), series(1, own=6)], seed=0)

    assert chosen.own is (chosen.figures["cpm_difference"].low > 0)


def test_the_same_series_and_seed_choose_the_same():
    judged = [series(i, own=3, embedded=2) for i in range(6)]

    assert choose(judged, seed=1) == choose(judged, seed=1)


def test_a_patient_is_called_by_a_calibration_of_others():
    judged = [series(i, own=4) for i in range(6)]
    other = [*judged[:3], series(3, own=-4), *judged[4:]]

    assert not np.array_equal(cross_fitted(judged)[0], cross_fitted(other)[0])
    assert folds_of(judged)[0] != folds_of(judged)[5] or len(set(folds_of(judged))) == 5


def test_series_of_one_patient_are_in_one_fold_and_patients_with_nodules_are_spread():
    with_nodules = [series(i) for i in range(2)]
    others = [series(i, nodules=0) for i in range(2, 8)]

    fold = folds_of([*others, *with_nodules, with_nodules[0]])

    assert fold[6] == fold[8] != fold[7]


def test_excluded_candidates_have_no_say():
    judged = [series(i, own=4) for i in range(4)]
    kind = judged[0].kind.copy()
    kind[5] = Kind.EXCLUDED
    loud = judged[0].logits.copy()
    loud[5] = 50
    first, second = (
        JudgedSeries("patient 0", kind, judged[0].nodule, 2, judged[0].score, logits, judged[0].embedded)
        for logits in (judged[0].logits, loud)
    )

    assert fit_calibration([first, *judged[1:]]).logit == fit_calibration([second, *judged[1:]]).logit


def test_the_threshold_leaves_few_findings_and_never_nearly_all_false_ones():
    many = [np.linspace(0.5, 0.9, 20)] * 20

    threshold = threshold_for(many)

    assert (many[0] >= threshold).sum() == MOST_FINDINGS
    assert threshold_for([np.full(20, 0.001)]) == LEAST_THRESHOLD


def test_one_series_of_forty_may_have_more_findings():
    quiet, loud = np.linspace(0.05, 0.3, 20), np.linspace(0.6, 0.9, 20)

    assert threshold_for([*[quiet] * 39, loud]) < 0.3
