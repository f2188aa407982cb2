import pytest

from lidcflow.errors import TrainingError
from lidcflow.learn.candidate_rows import CandidateRows, judge_stored
from lidcflow.learn.nodule_rows import find_nodules
from lidcflow.nodules.truth import Kind
from tests.labelled_candidates import EACH, OTHERS, labelled_candidates


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """Return a snapshot, its store, the nodules in it, and its candidates as they were judged."""
    snapshot, store, nodules = labelled_candidates(tmp_path_factory.mktemp("workspace"))
    return snapshot, store, nodules, judge_stored(snapshot, store, nodules)


def test_patients_of_the_test_split_have_no_row(judged):
    snapshot, _, _, rows = judged

    split_of = dict(zip(snapshot.table["patient_key"], snapshot.table["split"], strict=True))
    assert set(rows.table["patient_key"].map(split_of)) == {"train", "validation"}
    assert (rows.table["patient_key"].map(split_of) == rows.table["split"]).all()


def test_candidates_in_nodules_of_three_readers_are_positives_and_far_ones_are_none(judged):
    *_, rows = judged

    found = sum(rows.nodules.values())
    assert found > 0
    assert (rows.table["kind"] == Kind.NODULE).sum() == EACH * found
    assert (rows.table["kind"] == Kind.NEGATIVE).sum() == OTHERS * len(rows.nodules)


def test_a_series_that_nobody_read_and_one_without_candidates_are_left_out(judged):
    snapshot, store, nodules, rows = judged
    unread, without = sorted(rows.nodules)[:2]
    store.delete_candidates(without)

    fewer = judge_stored(snapshot, store, {uid: found for uid, found in nodules.items() if uid != unread})

    assert rows.nodules.keys() - fewer.nodules.keys() == {unread, without}
    assert set(fewer.table["series_instance_uid"]) == set(fewer.nodules)


@pytest.mark.parametrize("join", [judge_stored, find_nodules])
def test_the_last_series_completes_the_progress(judged, join):
    snapshot, store, nodules, _ = judged
    steps = []

    join(snapshot, store, dict(list(nodules.items())[:5]), lambda done, total: steps.append((done, total)))

    assert steps[0] == (1, len(steps))
    assert steps[-1] == (len(steps), len(steps))


def test_rows_are_read_back_as_they_were(judged, tmp_path):
    *_, rows = judged

    rows.save(tmp_path / "rows.parquet")

    found = CandidateRows.load(tmp_path / "rows.parquet")
    assert found.table.equals(rows.table)
    assert found.nodules == rows.nodules


def test_a_store_without_candidates_has_no_rows(judged):
    snapshot, store, _, _ = judged

    assert judge_stored(snapshot, store, {}).table.empty


def test_a_file_that_holds_no_rows_is_refused(tmp_path):
    (tmp_path / "rows.parquet").write_bytes(b"PAR1")

    with pytest.raises(TrainingError, match="Parquet file of judged candidates"):
        CandidateRows.load(tmp_path / "rows.parquet")
