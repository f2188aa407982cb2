"""A cross-validation: every patient is tested once, and the average of its folds is a release like any other."""

import numpy as np
import pytest

from flows.evaluate import evaluate
from flows.train import train
from lidcflow.config import Config
from lidcflow.learn.folds import members_by_series
from lidcflow.learn.snapshot import Snapshot
from lidcflow.release.card import release_card
from tasks.champions import champions_of, score_champion
from tasks.erase_trainings import find_trainings
from tasks.predict import predict_release, predict_series
from tasks.promote import promote
from tasks.snapshot import plan_training
from tasks.tracking.connection import Tracking, connect
from tasks.tracking.profiles import find_profile
from tasks.tracking.registry import training_of
from tasks.tracking.sector_models import sectors_of
from tests.labelled_volumes import PATIENTS
from tests.trained import copy_workspace, training_config

pytestmark = pytest.mark.usefixtures("prefect_server")

FOLDS = 3


@pytest.fixture(scope="module")
def config(training_folder, training_cluster, tmp_path_factory) -> Config:
    workspace = copy_workspace(training_folder, tmp_path_factory.mktemp("folds") / "workspace")
    return training_config(workspace, training_cluster)


@pytest.fixture(scope="module")
def report(config):
    return train(config, choices={"train.folds": FOLDS})


@pytest.fixture(scope="module")
def snapshot(config, report):
    return Snapshot.load(config.workspace / "snapshots" / f"{report.release.snapshot_name}.parquet")


def test_every_patient_is_a_test_patient_once_and_the_figures_are_of_all(report):
    record = report.release

    assert sum(fold.patients for fold in record.folds) == PATIENTS
    assert {figures.patients for figures in record.metrics.values()} == {PATIENTS}
    assert (record.train.folds, record.chosen) == (FOLDS, {"train.folds": None})
    assert record.data.patients == {"all folds": PATIENTS}
    assert "each out of fold in a cross-validation in 3 folds" in release_card(record)


def test_it_is_compared_with_the_release_in_force_on_patients_that_neither_was_trained_on(report, snapshot):
    gate, held_out = report.release.gate, snapshot.rows("validation")

    assert gate.compared_with == "version 1"
    assert {check.passed for check in gate.checks if check.figure == "comparable"} == set()
    assert max(check.patients or 0 for check in gate.checks if check.against) <= held_out["patient_key"].nunique()


def test_a_release_averages_the_members_that_answer_alone_out_of_fold(config, report, snapshot):
    record, uids = report.release, tuple(sorted(snapshot.table["series_instance_uid"].unique()))
    alone = record.model_copy(update={"nodules": None, "folds": ()})
    whole = predict_release.fn(alone, uids, config, config.cluster.place)
    each = [
        predict_series(uids, sectors_of(record), config, record.backbone.id, dict.fromkeys(uids, fold))
        for fold in range(FOLDS)
    ]

    np.testing.assert_allclose(whole, np.mean(each, axis=0), atol=1e-6)
    assert not np.allclose(each[0], each[1])


def test_a_patient_is_answered_for_by_the_fold_of_the_patient(config, report, snapshot):
    record = report.release
    members = members_by_series(snapshot, "test", FOLDS, record.split.seed)
    uids = tuple(sorted(members))

    answers = predict_series(uids, sectors_of(record), config, record.backbone.id, members)

    first = uids[0]
    alone = predict_series((first,), sectors_of(record), config, record.backbone.id, {first: members[first]})
    np.testing.assert_allclose(answers[0], alone[0])


def test_an_evaluation_is_out_of_fold_and_of_all_patients(config, report):
    measured = evaluate(config, str(report.release.version)).evaluation

    assert (measured.folds, measured.patients) == (FOLDS, PATIENTS)
    assert measured.own.slices.natural["auroc_nodule"].value == pytest.approx(
        report.release.metrics["test"].release["auroc_nodule"].value
    )


def test_a_later_training_is_compared_with_the_members_that_did_not_see_the_patients(config, report):
    tracking = Tracking.of(config)
    promote(tracking, report.release.version, force=True, reason="a test")
    plan = plan_training.fn(config.with_settings({"train.seed": 7}))
    uids = Snapshot.load(plan.snapshot_path).rows("validation")["series_instance_uid"].unique().tolist()

    record = champions_of(plan)[0]
    asked = score_champion(record.model_copy(update={"nodules": None}), plan, uids)

    members = members_by_series(Snapshot.load(plan.snapshot_path), "validation", FOLDS, record.split.seed)
    own = predict_series(tuple(uids), sectors_of(record), config, record.backbone.id, members)
    assert record.version == report.release.version
    np.testing.assert_allclose(asked.probabilities, own)


def test_runs_of_the_folds_and_of_the_sectors_stand_below_that_of_the_training(config, report):
    tracking, version = Tracking.of(config), report.release.version
    client, run_id = connect(tracking), training_of(tracking, version)
    parent = client.get_run(run_id)
    below = client.search_runs([parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{run_id}'")

    names = {run.info.run_name for run in below}
    assert {f"fold {number} of {FOLDS}" for number in range(1, FOLDS + 1)} < names
    assert {"sector 01 of 02", "sector 02 of 02"} < names
    assert parent.info.run_name.endswith("3 folds")


def test_the_profile_is_of_all_patients(config, report):
    profile = find_profile(report.release.version, Tracking.of(config))

    assert len(set(profile.patients)) == len(set(profile.held_out_patients)) == PATIENTS


def test_an_erasure_finds_every_patient_among_those_that_models_were_trained_on(config, report, snapshot):
    uid = snapshot.rows("test")["series_instance_uid"].iloc[0]

    found = [
        one
        for one in find_trainings([uid], config.workspace, Tracking.of(config))
        if report.release.version in one.releases
    ]

    assert found[0].models
