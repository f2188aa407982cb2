"""The profile of a release's training series."""

import numpy as np
import pytest

from lidcflow.drift.profile import Profile
from tests.drift.profiles import profile


def test_a_profile_survives_its_json_and_names_no_patient(release_record):
    known = profile(release_record, np.random.default_rng(0))

    text = known.model_dump_json()

    assert Profile.model_validate_json(text) == known
    assert known.features.array.shape == (60, 16)
    assert "key0" not in text


def test_a_profile_without_a_value_for_every_series_is_refused(release_record):
    known = profile(release_record, np.random.default_rng(0))

    with pytest.raises(ValueError, match="one value for each series"):
        Profile.model_validate(known.model_dump() | {"patients": (0, 1)})
