import numpy as np
import pytest

from lidcflow.nodules.malignant_slices import with_malignancy
from tests.nodules.examples import finding

EDGES_MM = np.array([30.0, 20, 10, 0])
OWN = np.array([[0.9, 0.08, 0.02], [0.5, 0.4, 0.1], [0.8, 0.1, 0.1]])


def test_the_most_malignant_finding_of_a_slice_says_its_share():
    found = [finding(z_mm=15, malignant=0.9), finding(z_mm=14, malignant=0.3), finding(z_mm=25, malignant=None)]

    joined = with_malignancy(OWN, found, EDGES_MM)

    np.testing.assert_allclose(joined, [OWN[0], [0.5, 0.05, 0.45], OWN[2]])


@pytest.mark.parametrize("malignant", [0.0, 0.4, 1.0])
def test_probability_of_a_nodule_stays(malignant):
    joined = with_malignancy(OWN, [finding(z_mm=15, malignant=malignant)], EDGES_MM)

    np.testing.assert_allclose(joined[:, 1:].sum(axis=1), OWN[:, 1:].sum(axis=1))
    np.testing.assert_allclose(joined.sum(axis=1), 1)
    assert (joined >= 0).all()


def test_findings_without_malignancy_change_nothing():
    assert with_malignancy(OWN, [finding(z_mm=15, malignant=None)], EDGES_MM) is OWN
