import numpy as np
import pytest

from lidcflow.nodules.join_weights import FINDINGS_ALONE, JoinWeights
from lidcflow.nodules.malignant_slices import fit_malignancy, with_malignancy

OWN = np.array([[0.9, 0.08, 0.02], [0.5, 0.4, 0.1], [0.8, 0.1, 0.1]])
ONE = np.array([np.nan, 0.9, np.nan])


def test_where_findings_decide_alone_theirs_is_the_share():
    joined = with_malignancy(OWN, ONE, FINDINGS_ALONE)

    np.testing.assert_allclose(joined, [OWN[0], [0.5, 0.05, 0.45], OWN[2]])


def test_evidence_of_both_adds_up():
    joined = with_malignancy(OWN, ONE, JoinWeights(bias=0.0, slices=1.0, candidates=1.0))

    odds = (0.1 / 0.4) * (0.9 / 0.1)
    assert joined[1, 2] / 0.5 == pytest.approx(odds / (1 + odds))


@pytest.mark.parametrize("malignant", [0.0, 0.4, 1.0])
def test_probability_of_a_nodule_stays(malignant):
    joined = with_malignancy(OWN, np.full(3, malignant), FINDINGS_ALONE)

    np.testing.assert_allclose(joined[:, 1:].sum(axis=1), OWN[:, 1:].sum(axis=1))
    np.testing.assert_allclose(joined.sum(axis=1), 1)
    assert (joined >= 0).all()


def test_without_nodule_slices_neither_class_is_favoured():
    weights = fit_malignancy(OWN, ONE, np.zeros(3, int))

    assert weights.bias == pytest.approx(0, abs=1e-6)


def test_slices_without_a_nodule_or_without_a_finding_have_no_say():
    malignant = np.array([0.9, 0.2, 0.8, np.nan])
    own = np.vstack([OWN, OWN[1]])

    some = fit_malignancy(own, malignant, np.array([2, 1, 2, 1]))
    without = fit_malignancy(own[:3], malignant[:3], np.array([2, 1, 2]))

    assert some == without
