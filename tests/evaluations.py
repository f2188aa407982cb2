"""Six small studies of five patients, and what a release says of them."""

import numpy as np
import pytest

from lidcflow.evaluate.measure import Answers, measure
from lidcflow.evaluate.truth import Finding, HeldOutStudies

LABELS = np.array(
    [
        [0, 1, 1, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 2, 2, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 0, 2, 0],
        [0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 2, 0, 0, 0, 0],
    ],
    dtype=np.int8,
)
HOSTILE = "<script>document.title='x'</script>"


@pytest.fixture(scope="session")
def truth():
    findings = [
        [Finding(frozenset({1, 2}), 1, 5.0, 1)],
        [Finding(frozenset({4, 5}), 2, 12.0, 4)],
        [],
        [Finding(frozenset({0}), 1, 6.0, 2), Finding(frozenset({6}), 2, 7.5, 3)],
        [],
        [Finding(frozenset({3}), 2, 9.0, 4)],
    ]
    scanner = {"manufacturer": "A", "kernel": HOSTILE, "slice_thickness_mm": 1.0, "contrast": True}
    acquisitions = [scanner] * 5 + [{"manufacturer": "B", "slice_thickness_mm": 2.5, "contrast": None}]
    return HeldOutStudies(np.array([0, 1, 2, 3, 3, 4]), LABELS, findings, acquisitions)


@pytest.fixture(scope="session")
def answers():
    noise = np.random.default_rng(0).dirichlet([8, 1, 1], LABELS.shape)
    release = 0.5 * noise + 0.5 * np.where(np.eye(3, dtype=bool)[LABELS], 0.8, 0.1)
    shares = np.array([0.8, 0.1, 0.1])
    return Answers(release, noise, prior=np.full((8, 3), shares), height=np.full((8, 3), shares), shares=shares)


@pytest.fixture(scope="session")
def evaluation(release_record, truth, answers):
    return measure(release_record, "test", truth, answers, resamples=50)
