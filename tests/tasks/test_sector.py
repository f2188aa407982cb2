"""What is kept of a training until its release is complete, and the patience with a server that is away."""

import pytest

from lidcflow.config import Config
from lidcflow.errors import ResourceError
from lidcflow.release.pins import BackbonePin
from lidcflow.stats.estimate import ClassCounts
from tasks.sector import (
    SectorJob,
    SectorResult,
    find_logged,
    forget,
    in_short,
    kept_run,
    note_logged,
    note_run,
    training_folder,
    training_lock,
)
from tasks.snapshot import TrainingPlan

JOB = SectorJob(sector_num=2, sector=1)


@pytest.fixture
def plan(tmp_path):
    return TrainingPlan(
        config=Config(workspace=tmp_path),
        snapshot_path=tmp_path / "ab.parquet",
        snapshot_digest="ab",
        series=0,
        patients=0,
        slices=ClassCounts(non_nodule=0, benign=0, malignant=0),
        left_out=0,
        synthetic=True,
        backbone=BackbonePin(id="compact-ab", kind="compact", digest="ab", input="gray", size=32),
        inputs_digest="0123456789abcdef",
    )


def test_what_was_logged_counts_below_the_same_run_only(plan):
    result = SectorResult(job=JOB, model_uri="models:/m-1", model_sha256="ab", run_id="child")

    with training_lock(plan):
        note_run(plan, "parent")
        note_logged(plan, "parent", result)

    assert kept_run(plan) == "parent"
    assert find_logged(plan, JOB, "parent") == result
    assert find_logged(plan, JOB, "another") is None


def test_a_sector_that_was_logged_before_digests_were_kept_is_logged_again(plan):
    with training_lock(plan):
        note_logged(plan, "parent", SectorResult(job=JOB, model_uri="models:/m-1", run_id="child"))

    assert find_logged(plan, JOB, "parent") is None


def test_only_one_process_trains_the_same(plan):
    again = pytest.raises(ResourceError, match=r"training 0123456789ab: only one process may do it at a time")

    with training_lock(plan), again, training_lock(plan):
        pass


def test_what_is_kept_is_told_by_its_number_and_gone_when_it_is_forgotten(plan):
    (training_folder(plan) / "sector-01-of-02").mkdir(parents=True)

    assert in_short(plan).startswith("1 trained models are kept in trainings/0123456789ab")
    forget(plan)
    assert kept_run(plan) is None
    assert not training_folder(plan).exists()
