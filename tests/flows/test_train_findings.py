"""A training on a store with nodule candidates pins a detector, and joins it wherever its release answers."""

import json

import numpy as np
import pytest

from flows.evaluate import evaluate
from flows.train import train
from lidcflow.errors import TrainingError
from lidcflow.learn.training_set import TrainingSet
from lidcflow.nodules.table import TABLE_SCHEMA
from lidcflow.release.answer import findings_alone
from lidcflow.release.embedded import embedded_detector_pin, embedded_pin
from lidcflow.stats.height_prior import height_prior
from lidcflow.store.volumes import VolumeStore
from tasks.candidate_scores import best_by_series, evidence_for, held_out_labels, readings_of
from tasks.champions import score_champion
from tasks.predict import answer_in_parts, predict_release
from tasks.retraining import assess_changes
from tasks.snapshot import plan_training
from tasks.snapshot_files import candidates_of
from tasks.tracking.connection import Tracking
from tasks.tracking.profiles import find_profile
from tests.labelled_volumes import PATIENTS, SLICES, store_volumes
from tests.trained import copy_workspace, training_config

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture(scope="module")
def config(training_folder, training_cluster, tmp_path_factory):
    """A workspace with a release of before: the volumes got candidates since."""
    workspace = copy_workspace(training_folder, tmp_path_factory.mktemp("findings") / "workspace")
    config = training_config(workspace, training_cluster).with_settings({"nodules.train": False})
    store_volumes(config, candidates=True)
    return config


@pytest.fixture(scope="module")
def stock(config):
    """What a check for retraining says before the training."""
    return assess_changes.fn(config)


@pytest.fixture(scope="module")
def found(config, stock, trained):
    """The report of the training."""
    return train(config)


@pytest.fixture(scope="module")
def record(found):
    return found.release


@pytest.fixture(scope="module")
def held_out(config, record):
    plan = plan_training.fn(config)
    return tuple(TrainingSet.load(plan.snapshot_path).snapshot.rows("test")["series_instance_uid"].unique())


def test_candidates_that_came_since_make_another_training_of_the_same_volumes(trained, stock, found, record):
    assert not found.reused
    assert record.version == trained.release.version + 1
    assert record.snapshot_digest == trained.release.snapshot_digest
    assert record.inputs_digest != trained.release.inputs_digest
    assert stock.decision.due
    assert "the detector of nodules" in stock.decision.why
    assert stock.inputs == record.inputs_digest


def test_the_same_candidates_find_the_release_they_made(config, found, record):
    assert train(config).release == record
    assert not assess_changes.fn(config).decision.due


def test_a_store_whose_candidates_are_switched_off_finds_the_release_of_before(config, trained, found):
    again = train(config.with_settings({"nodules.candidates": False}))

    assert (again.reused, again.release) == (True, trained.release)


def test_the_release_pins_the_embedded_detector_and_the_heights_of_the_training_patients(config, record):
    pin, detector = record.nodules, embedded_detector_pin()
    rows = TrainingSet.load(plan_training.fn(config).snapshot_path).snapshot.rows("train")

    assert pin.model_dump(include=set(type(detector).model_fields)) == detector.model_dump()
    expected = height_prior(rows["slice"].to_numpy() - 1, rows["label"].to_numpy(), SLICES)
    np.testing.assert_allclose(pin.chest_height, expected)
    assert min(pin.with_sectors.candidates, pin.with_height.candidates) >= 0


def test_its_snapshot_names_the_candidates_and_trains_the_same_release_again(config, record):
    plan = plan_training.fn(config, record.snapshot_id[:12])
    settings = TrainingSet.load(plan.snapshot_path).settings

    assert (settings.candidates.version, settings.candidates.series) == (TABLE_SCHEMA, PATIENTS)
    assert plan.inputs_digest == record.inputs_digest


def test_findings_are_measured_on_both_splits_and_held_to_a_floor(record):
    checks = {check.figure: check for check in record.gate.checks}

    assert set(record.findings) == {"validation", "test"}
    assert record.findings["test"].series == record.metrics["test"].series
    assert record.findings["test"].figures["candidate_sensitivity"].value == 1.0
    assert checks["findings"].patients is not None


def test_a_release_answers_with_its_sector_models_and_findings_joined(config, record, held_out):
    parts = answer_in_parts.fn(record, held_out, config, config.cluster.place)
    strange = answer_in_parts.fn(record, held_out, config, config.cluster.place, np.ones(len(held_out), bool))

    best = best_by_series(parts.scored, held_out, config)
    assert set(parts.scored) == set(held_out)
    assert all(one.shape == (SLICES, 2) for one in best)
    assert not np.allclose(parts.release, parts.sectors)
    np.testing.assert_allclose(strange.release, findings_alone(embedded_pin(SLICES), best))
    np.testing.assert_allclose(predict_release.fn(record, held_out, config, config.cluster.place), parts.release)


def test_series_without_candidates_keep_their_own_scores(config, record, held_out, tmp_path):
    there = predict_release.fn(record, held_out, config, config.cluster.place)
    elsewhere = training_config(copy_workspace(config.workspace.parent, tmp_path / "workspace"), config.cluster.place)
    VolumeStore.of(elsewhere).delete_candidates(held_out[0])

    parts = answer_in_parts.fn(record, held_out, elsewhere, config.cluster.place)

    np.testing.assert_allclose(parts.release[0], parts.sectors[0])
    np.testing.assert_allclose(parts.release[1:], there[1:])
    with pytest.raises(TrainingError, match=r"nodule candidates must be those of its 16 series, .* got 15 series"):
        plan_training.fn(elsewhere, record.snapshot_id[:12])


def test_the_profile_keeps_the_answers_of_the_whole_release(config, record):
    snapshot = TrainingSet.load(plan_training.fn(config).snapshot_path).snapshot
    uids = tuple(sorted(snapshot.rows("validation")["series_instance_uid"].unique()))

    answers = predict_release.fn(record, uids, config, config.cluster.place)

    profile = find_profile(record.version, Tracking.of(config))
    np.testing.assert_allclose(profile.scores.array, answers[..., 1:].sum(axis=-1), rtol=1e-4)


def test_a_champion_answers_with_its_findings_and_not_without_its_detector(config, record):
    plan = plan_training.fn(config)
    held_out = held_out_labels(TrainingSet.load(plan.snapshot_path).snapshot)
    readings = readings_of(list(held_out), np.stack(list(held_out.values())), config)
    evidence = evidence_for([record.nodules], list(held_out), readings, config, config.cluster.place)
    gone = record.nodules.model_copy(update={"sha256": "cd" * 32})

    asked = score_champion(record, plan, list(held_out), evidence)
    without = score_champion(record.model_copy(update={"nodules": None}), plan, list(held_out))
    lost = score_champion(record.model_copy(update={"nodules": gone}), plan, list(held_out), evidence)

    assert not np.allclose(asked.probabilities, without.probabilities)
    assert "the detector of version 2, cdcdcdcdcdcd, must be at hand" in lost.why_not
    assert evidence_for([gone], list(held_out), readings, config, config.cluster.place) == {}


def test_readings_that_have_changed_since_the_snapshot_judge_nothing(config, record):
    held_out = held_out_labels(TrainingSet.load(plan_training.fn(config).snapshot_path).snapshot)
    labels = np.stack(list(held_out.values()))

    assert set(readings_of(list(held_out), labels, config)) == set(held_out)
    assert readings_of(list(held_out), 2 - labels, config) == {}


def test_candidates_of_training_patients_alone_join_nothing(config, record):
    snapshot = TrainingSet.load(plan_training.fn(config).snapshot_path).snapshot
    volumes = list(VolumeStore.of(config).summaries(snapshot.rows("train")["series_instance_uid"].unique().tolist()))

    assert candidates_of(snapshot, volumes, config.nodules) is None


@pytest.fixture(scope="module")
def evaluated(config, record):
    return evaluate(config, str(record.version))


def test_an_evaluation_shows_sector_models_findings_and_both_and_finds_the_figures_again(evaluated, record):
    found, test = evaluated.evaluation, record.metrics["test"]

    assert [one.key for one in found.contestants][:3] == ["release", "sector_models", "findings"]
    assert found.findings.figures["cpm"].value == pytest.approx(record.findings["test"].figures["cpm"].value)
    assert found.patients == test.patients
    page = evaluated.page.read_text()
    assert "<h2>Findings</h2>" in page
    assert json.loads((evaluated.page.parent / "evaluation.json").read_text())["findings"]["nodules"] > 0
