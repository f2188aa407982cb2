"""Fixtures of these tests."""

import numpy as np
import pytest

from tests.learn.fitted import FAST, easy_slices


@pytest.fixture(scope="session")
def fitted():
    from lidcflow.learn.fitting import fit_head  # Keras, which other tests of this folder do without

    return fit_head(*easy_slices(120, 0), *easy_slices(60, 1), FAST, seed=3)


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(0, 255, (3, 32, 32, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def traced():
    """Trace the steps of the short trainings of a module's tests, as those of longer ones are."""
    from lidcflow.learn import runtime

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime, "FEW_STEPS", 0)
        yield
