"""Fixtures of these tests."""

import numpy as np
import pytest

from lidcflow.config import DriftConfig
from lidcflow.drift.check import check_drift
from tests.drift.checks import HOSTILE, NOW
from tests.drift.profiles import SLICES, profile, recent


@pytest.fixture(scope="session")
def check(release_record):
    """Check what was read lately against 60 training patients."""
    known = profile(release_record, np.random.default_rng(0))
    return lambda lately: check_drift(release_record, known, lately, DriftConfig(false_alarms=0.05), NOW)


@pytest.fixture(scope="session")
def drifted(check):
    """Other slices from an unknown scanner, and higher scores in the second half of the chest."""
    scores = np.random.default_rng(2).beta(1, 12, (30, SLICES))
    scores[:, 4:] += 0.3
    rng = np.random.default_rng(1)
    return check(recent(rng, scores=scores, slice_spacing_mm=5.0, manufacturer=HOSTILE))
