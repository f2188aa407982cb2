import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from lidcflow.learn.candidate_rows import COLUMNS, CandidateRows
from lidcflow.learn.kept_model import DIGEST
from lidcflow.learn.own_detector import (
    LEAST_PATIENTS,
    LEAST_POSITIVES,
    LEAST_VALIDATION,
    TILES,
    find_own,
    fit_own_detector,
    why_not_trained,
)
from lidcflow.nodules.detector import WEIGHT_FILE
from lidcflow.nodules.truth import Kind
from tests.learn.test_own_examples import N, Shelf, rows_of, series
from tests.nodules.detectors import random_weights


def positives(train, validation, patients):
    """Return rows with so many candidates in nodules, those of validation spread over so many patients."""
    kinds = [Kind.NODULE] * train
    parts = np.array_split([Kind.NODULE] * validation, patients)
    held_out = [series(f"9{i}", "validation", part.tolist()) for i, part in enumerate(parts)]
    return rows_of(series("1", "train", kinds), *held_out)


@pytest.mark.parametrize(
    ("counts", "lacking"),
    [
        ((LEAST_POSITIVES, LEAST_VALIDATION, LEAST_PATIENTS), ""),
        ((LEAST_POSITIVES - 1, LEAST_VALIDATION, LEAST_PATIENTS), "the store has 9 and 5, of 2 validation patients"),
        ((LEAST_POSITIVES, LEAST_VALIDATION - 1, LEAST_PATIENTS), "the store has 10 and 4, of 2 validation patients"),
        ((LEAST_POSITIVES, LEAST_VALIDATION, 1), "the store has 10 and 5, of 1 validation patients"),
    ],
)
def test_too_few_candidates_in_nodules_are_a_reason_with_their_numbers(counts, lacking):
    reason = why_not_trained(positives(*counts))

    assert reason.endswith(lacking) if lacking else reason == ""


def test_a_store_without_candidates_is_a_reason():
    empty = pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in COLUMNS.items()})

    assert why_not_trained(CandidateRows(empty, {})) == "the store has no nodule candidates of series with readings"


@pytest.fixture(scope="module")
def rows():
    kinds = [Kind.NODULE, Kind.NODULE, *[Kind.NEGATIVE] * (N - 2)]
    parts = [series(str(i), "train" if i < 6 else "validation", kinds, [0, 1, *[-1] * (N - 2)]) for i in range(10)]
    return CandidateRows(rows_of(*parts).table, {str(i): 3 for i in range(10)})


@pytest.fixture
def training():
    return noting()


def noting():
    """Return what returns random weights in the place of a training, and notes the nodules that it is given."""

    def train(examples, _start, *, steps, **_options):
        train.given.append(int(examples.nodule.sum()))
        return SimpleNamespace(networks=[random_weights(0), random_weights(1)], loss=[0.5] * steps)

    train.given = []
    return train


@pytest.fixture(scope="module")
def fitted(rows, tmp_path_factory):
    """Return a kept detector with its folder, which nobody changes."""
    folder = tmp_path_factory.mktemp("fitted") / "own"
    return folder, fit_own_detector(rows, Shelf(), folder, noting(), steps=1, seed=0)


def test_a_detector_is_trained_judged_and_kept_once(rows, tmp_path, training):
    first, again = (fit_own_detector(rows, Shelf(), tmp_path / "own", training, steps=3, seed=0) for _ in range(2))

    assert training.given == [12]
    assert again.facts == first.facts
    assert first.facts.loss == [0.5] * 3
    assert first.facts.counts["validation_nodules"] == 12
    assert first.detector.widths == (0, 1)
    assert first.detector.card["figures"].keys() == first.facts.choice.figures.keys()


def test_examples_to_look_at_are_of_validation_patients_few_of_each_kind(fitted):
    _, kept = fitted

    kinds = [one.kind for one in kept.examples]
    assert max(kinds.count(kind) for kind in set(kinds)) <= TILES
    assert all(one.hu.shape == (48, 48) for one in kept.examples)


@pytest.mark.parametrize("name", [WEIGHT_FILE, DIGEST, "own.json"])
def test_a_kept_detector_that_was_damaged_is_trained_again(fitted, rows, tmp_path, training, name):
    shutil.copytree(fitted[0], tmp_path / "own")
    (tmp_path / "own" / name).write_bytes(b"damaged")

    assert find_own(tmp_path / "own") is None

    fit_own_detector(rows, Shelf(), tmp_path / "own", training, steps=1, seed=0)
    assert len(training.given) == 1


def test_there_is_nothing_where_nothing_was_kept(tmp_path):
    assert find_own(tmp_path / "own") is None
