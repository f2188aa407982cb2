"""A training that tunes the last stage of the backbone is released, read with, evaluated and compared as any other."""

import mlflow
import numpy as np
import pytest

from flows.evaluate import evaluate
from flows.experiment import experiment
from flows.infer import infer
from flows.train import train
from lidcflow.config import TrainConfig
from lidcflow.config.experiment import ExperimentConfig
from lidcflow.store.address import inbox_store
from tasks.held_out import load_snapshot
from tasks.tracking.connection import Tracking
from tasks.tracking.registry import training_of
from tests.trained import with_release

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture(scope="module")
def tuning(config):
    """Settings that train the last stage of the compact backbone with the head of the whole chest."""
    settings = {"mode": "finetune", "sector_num": 1, "finetune": {"epochs": 2, "views": 1, "learning_rate": 1e-3}}
    return config.model_copy(update={"train": TrainConfig(**{**config.train.model_dump(), **settings})})


@pytest.fixture(scope="module")
def tuned(tuning, trained):
    return train(tuning)


def test_a_finetuned_release_pins_the_part_below_the_block_and_models_of_the_rest(tuning, trained, tuned):
    release, tracking = tuned.release, Tracking.of(tuning)

    assert release.backbone.id == f"{trained.release.backbone.id}-below-stage3"
    assert (release.backbone.digest, release.backbone.version) == (trained.release.backbone.digest, None)
    assert train(tuning).reused
    mlflow.set_tracking_uri(tracking.uri)
    maps = np.zeros((2, 8, 8, 64), np.float32)
    np.testing.assert_allclose(mlflow.pyfunc.load_model(release.sectors[0].uri).predict(maps).sum(axis=1), 1, rtol=1e-5)
    (run,) = mlflow.search_runs(
        experiment_names=["lidcflow"], filter_string="tags.finetuned LIKE '%'", output_format="list"
    )
    assert "finetuning" in run.data.tags["finetuned"]
    assert run.data.params["finetune_from_block"] == "stage3"


def test_views_are_made_of_training_patients_only(tuning, tuned, stored):
    table = load_snapshot(tuned.release, tuning, training_of(Tracking.of(tuning), tuned.release.version)).table

    splits = dict(zip(table["series_instance_uid"], table["split"], strict=True))
    with_view = {uid for uid in splits if any("-view1-" in name for name in stored.feature_ids(uid))}
    assert with_view == {uid for uid, split in splits.items() if split == "train"}


def test_a_finetuned_release_reads_and_is_evaluated_as_any_other(tuning, tuned, source):
    version = tuned.release.version

    read = infer(str(source), with_release(tuning, version))
    evaluated = evaluate(tuning, str(version)).evaluation

    assert [reading.verdict for reading in read.readings].count("not-evaluated") == 1
    store = inbox_store(tuning).open()
    assert not [name for uid in store.series_uids() for name in store.feature_ids(uid) if "below" in name]
    expected = tuned.release.metrics["test"].release["auroc_nodule"].value
    assert evaluated.own.slices.natural["auroc_nodule"].value == pytest.approx(expected)


def test_an_experiment_compares_frozen_and_finetuned_arms_on_the_same_patients(tuning, tuned):
    mine = ExperimentConfig(arms={"frozen": {"train.mode": "frozen"}, "tuned": {"train.finetune.patience": 1}})

    report = experiment("modes", tuning.model_copy(update={"experiments": {"modes": mine}}))

    frozen, finetuned = report.comparison.arms
    assert report.comparison.failed == {}
    assert round(3 * finetuned.slices_seen / frozen.slices_seen) in (4, 5)
    assert finetuned.figures["validation"].keys() == frozen.figures["validation"].keys()
