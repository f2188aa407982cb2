from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from lidcflow.errors import TrainingError
from lidcflow.learn.candidate_rows import COLUMNS, CandidateRows
from lidcflow.learn.own_examples import choose_rows, read_examples, validation_series
from lidcflow.nodules.table import CANDIDATE
from lidcflow.nodules.truth import Kind
from lidcflow.store.arrays import CandidateArrays
from tests.labelled_candidates import numbers, patches

N = 10


def series(uid, split, kinds, nodules=None):
    """Return rows of a series whose first candidate scores highest."""
    n = len(kinds)
    columns = {
        "series_instance_uid": uid,
        "patient_key": f"patient {uid}",
        "split": split,
        "candidate": np.arange(n),
        "kind": kinds,
        "nodule": nodules or [0 if kind == Kind.NODULE else -1 for kind in kinds],
        "score": np.linspace(1, 0.1, n),
    }
    return pd.DataFrame(columns).astype(COLUMNS)


def rows_of(*parts):
    return CandidateRows(pd.concat(parts, ignore_index=True), {})


@pytest.fixture
def rows():
    kinds = [Kind.NODULE, Kind.NODULE, Kind.EXCLUDED, *[Kind.NEGATIVE] * (N - 3)]
    return rows_of(series("1", "train", kinds), series("2", "train", kinds), series("3", "validation", kinds))


class Shelf:
    """Holds candidates of every series; the first ones have a bright middle."""

    def read_candidates(self, _uid, **_):
        table = np.zeros(N, CANDIDATE)
        table["score"] = np.linspace(1, 0.1, N)
        facts = {"schema": 1, "columns": list(CANDIDATE.names), "sop_instance_uids": ["1"] * N, "flags": []}
        return CandidateArrays(facts, numbers(table), patches(2, N, np.random.default_rng(0)))


def test_patients_of_validation_are_never_learned_from(rows):
    chosen = choose_rows(rows, seed=0)

    assert set(chosen["split"]) == {"train"}


def test_candidates_beside_a_nodule_and_in_one_of_few_readers_are_not_learned_from(rows):
    assert set(choose_rows(rows, seed=0)["kind"]) == {Kind.NODULE, Kind.NEGATIVE}


def test_half_of_a_series_negatives_are_those_that_the_filter_scores_highest(rows):
    chosen = choose_rows(rows, seed=0, negatives=8)

    negatives = chosen[chosen["kind"] == Kind.NEGATIVE]
    of_first = negatives[negatives["series_instance_uid"] == "1"]["candidate"].tolist()
    assert len(of_first) == 4
    assert {3, 4} <= set(of_first)


def test_the_same_seed_chooses_the_same_and_a_series_the_same_beside_others(rows):
    first, again = (choose_rows(rows, seed=3, negatives=8) for _ in range(2))
    alone = choose_rows(rows_of(rows.table[rows.table["series_instance_uid"] == "2"]), seed=3, negatives=4)

    assert first.equals(again)
    beside = first[first["series_instance_uid"] == "2"]["candidate"].tolist()
    assert alone["candidate"].tolist() == beside


def test_positives_are_bounded_too(rows):
    assert (choose_rows(rows, seed=0, positives=3)["kind"] == Kind.NODULE).sum() == 3


def test_examples_are_the_patches_of_the_chosen_candidates(rows):
    seen = []

    examples = read_examples(choose_rows(rows, seed=0), Shelf(), lambda *done: seen.append(done))

    middles = examples.views[:, :, 23, 23]
    np.testing.assert_array_equal((middles > 150).all(axis=1), examples.nodule)
    assert examples.views.shape == (18, 6, 48, 48)
    assert seen == [(1, 2), (2, 2)]


def test_nodules_count_the_same_however_many_candidates_they_have(rows):
    examples = read_examples(choose_rows(rows, seed=0), Shelf())

    np.testing.assert_array_equal(examples.share[examples.nodule], [0.5] * 4)
    np.testing.assert_array_equal(examples.share[~examples.nodule], [1.0] * 14)


def test_candidates_that_have_changed_since_they_were_judged_are_refused(rows):
    moved = rows.table.assign(score=np.float32(0.3))
    more = rows.table.assign(candidate=rows.table["candidate"] + 5)

    with pytest.raises(TrainingError, match="got other scores"):
        list(validation_series(CandidateRows(moved, {}), Shelf()))
    with pytest.raises(TrainingError, match="got others"):
        list(validation_series(CandidateRows(more, {}), Shelf()))
    with pytest.raises(TrainingError, match="got others"):
        read_examples(rows.of_split("train"), SimpleNamespace(read_candidates=lambda _uid, **_: None))
