from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lidcflow.config import SplitConfig
from lidcflow.learn.splits import fold_of, split_of

KEYS = [f"{number:016x}" for number in range(5000)]


def test_shares_are_those_of_the_configuration():
    counts = Counter(split_of(key, SplitConfig(validation=0.1, test=0.3)) for key in KEYS)

    assert counts["validation"] / len(KEYS) == pytest.approx(0.1, abs=0.02)
    assert counts["test"] / len(KEYS) == pytest.approx(0.3, abs=0.02)
    assert counts["train"] / len(KEYS) == pytest.approx(0.6, abs=0.02)


def test_a_patient_has_the_split_it_always_had():
    # Written down once: a release must find the same patients held out on any machine, in any version.
    splits = {key: split_of(key, SplitConfig()) for key in "efgh"}

    assert splits == {"e": "train", "f": "validation", "g": "validation", "h": "test"}


@given(st.text(min_size=1), st.floats(0.01, 0.4), st.floats(0.01, 0.4))
def test_the_validation_share_moves_no_patient_into_or_out_of_test(key: str, share: float, other: float):
    before = split_of(key, SplitConfig(validation=share))
    after = split_of(key, SplitConfig(validation=other))

    assert (before == "test") == (after == "test")


@given(st.text(min_size=1), st.floats(0.01, 0.4), st.floats(0.0, 0.4))
def test_a_larger_test_share_lets_no_patient_out_of_test(key: str, share: float, more: float):
    before = split_of(key, SplitConfig(test=share))
    after = split_of(key, SplitConfig(test=min(share + more, 0.79)))

    assert before != "test" or after == "test"


def test_another_seed_draws_other_patients():
    held_out = [{key for key in KEYS if split_of(key, SplitConfig(seed=seed)) == "test"} for seed in (0, 1)]

    assert len(held_out[0] & held_out[1]) < len(held_out[0]) / 2


def test_a_patient_has_the_fold_it_always_had():
    # Written down once, as above: a release is measured by the folds that its members were trained in.
    assert {key: fold_of(key, 5, 0) for key in "efgh"} == {"e": 4, "f": 3, "g": 2, "h": 0}


def test_folds_have_about_equal_shares():
    counts = Counter(fold_of(key, 5, 3) for key in KEYS)

    assert [counts[fold] / len(KEYS) for fold in range(5)] == pytest.approx([0.2] * 5, abs=0.02)
