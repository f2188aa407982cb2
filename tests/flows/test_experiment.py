"""An experiment compares its arms, trains only what is not done, and registers nothing."""

import mlflow
import numpy as np
import pytest

from flows.experiment import experiment, preprocess_for_arms
from lidcflow.config import TrackingConfig
from lidcflow.config.experiment import ExperimentConfig
from lidcflow.errors import ConfigError, TrackingUnavailable
from lidcflow.experiment.builtin import arms_of, with_own_store
from lidcflow.store.volumes import VolumeStore
from lidcflow.volume.slabs import Volume
from tasks.tracking.connection import Tracking
from tasks.tracking.registry import list_releases
from tests.labelled_volumes import annotated_series, scans_with_nodules, volume_of

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture(scope="module")
def experimental(config, stored):
    """An arm on the store's volumes, one of two sectors on volumes of another size, and one that diverges."""
    arms = {
        "one": {},
        "small": {"preprocess.size": 16, "train.sector_num": 2},
        "diverging": {"train.learning_rate": 1e30},
    }
    tiny = ExperimentConfig(base={"train.epochs": 2, "train.sector_num": 1}, arms=arms)
    return config.model_copy(update={"experiments": {"tiny": tiny}})


@pytest.fixture(scope="module")
def small_volumes(experimental):
    small = experimental.with_settings({"preprocess.size": 16})
    store, rng = VolumeStore.of(with_own_store(small, experimental.preprocess), create=True), np.random.default_rng(0)
    for scan in scans_with_nodules():
        volume = volume_of(scan, rng)
        store.write(annotated_series(scan), Volume(volume.hu[..., ::2, ::2].copy(), volume.edges_mm, volume.sources))


@pytest.fixture(scope="module")
def registered(config, trained):
    return list_releases(Tracking.of(config))


@pytest.fixture(scope="module")
def compared(experimental, small_volumes, registered):
    return experiment("tiny", experimental)


def test_an_experiment_compares_its_arms_and_one_that_fails_costs_the_others_nothing(compared):
    comparison = compared.comparison

    assert [arm.name for arm in comparison.arms] == ["one", "small"]
    assert "loss must be a number" in comparison.failed["diverging"]
    assert {one.configuration for one in comparison.differences} == {"small"}
    assert comparison.configurations[1].figures["test"]["accuracy"].low is not None
    assert {file.name for file in compared.page.parent.iterdir()} == {
        "report.html",
        "comparison.json",
        "comparison.csv",
    }


def test_an_experiment_registers_nothing_and_logs_a_run_for_each_arm(config, compared, registered):
    runs = mlflow.search_runs(
        experiment_names=["lidcflow experiments"],
        filter_string="tags.arm LIKE '%'",
        output_format="list",
    )

    statuses = {run.info.run_name: run.info.status for run in runs}
    assert statuses == {"one": "FINISHED", "small": "FINISHED", "diverging": "FAILED"}
    small = next(run for run in runs if run.info.run_name == "small")
    assert {"accuracy-test/sector-02", "loss-validation/sector-01", "test/auroc_nodule"} <= set(small.data.metrics)
    assert small.data.metrics["AUROC of slices on test"] == small.data.metrics["test/auroc_nodule"]
    assert [one.dataset.name for one in small.inputs.dataset_inputs] == ["snapshot"]
    assert list_releases(Tracking.of(config)) == registered


def test_an_experiment_run_again_trains_only_what_is_not_done(experimental, compared):
    done = experimental.experiments["tiny"]
    without = done.model_copy(update={"arms": {name: own for name, own in done.arms.items() if name != "diverging"}})

    again = experiment("tiny", experimental.model_copy(update={"experiments": {"tiny": without}}))

    assert again.reused == ["one", "small"]
    assert again.comparison.arms == compared.comparison.arms
    assert again.comparison.failed == {}


def test_an_arm_of_another_preprocessing_needs_the_archive(config, stored):
    ranges = ExperimentConfig(grid={"preprocess.z_range": ["scan", "lung"]})

    with pytest.raises(
        ConfigError, match=r"arm 'lung' needs volumes of 8 slices of 32 x 32 over the lung.*set archive"
    ):
        experiment("mine", config.model_copy(update={"experiments": {"mine": ranges}}))


def test_volumes_of_another_preprocessing_are_made_from_the_archive_once(config, source, tmp_path):
    small = ExperimentConfig(base={"preprocess.size": 16})
    mine = config.model_copy(
        update={"workspace": tmp_path, "archive": str(source), "experiments": {"mine": small}},
    )
    arms = arms_of("mine", mine)

    preprocess_for_arms("mine", arms, mine)
    preprocess_for_arms("mine", arms, mine.model_copy(update={"archive": None}))

    assert len(VolumeStore.of(arms[0].config).series_uids()) == 2
    assert not (tmp_path / "store").exists()
    assert not (tmp_path / "catalog.db").exists()


def test_an_experiment_that_mlflow_was_away_for_is_logged_by_the_next_run(experimental, compared, monkeypatch):
    done = experimental.experiments["tiny"]
    without = done.model_copy(update={"arms": {"one": done.arms["one"]}})
    one = experimental.model_copy(
        update={"experiments": {"tiny": without}, "tracking": TrackingConfig(wait_s=0)},
    )
    monkeypatch.setattr("flows.experiment.experiment_run", away)
    with pytest.raises(TrackingUnavailable, match="arms and page are kept in the workspace"):
        experiment("tiny", one)
    monkeypatch.undo()
    logged = runs_of_experiments(one)

    again = experiment("tiny", one)

    assert again.reused == ["one"]
    assert runs_of_experiments(one) == logged + 1
    experiment("tiny", one)
    assert runs_of_experiments(one) == logged + 1


def away(*_args):
    raise TrackingUnavailable("tracking: must answer")


def runs_of_experiments(config):
    mlflow.set_tracking_uri(Tracking.of(config).uri)
    found = mlflow.search_runs(
        experiment_names=["lidcflow experiments"], filter_string="tags.experiment = 'tiny'", output_format="list"
    )
    return len(found)
