"""Training from a snapshot gives the same numbers, and a training that was cut short is resumed."""

import json
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.train import train
from lidcflow.config import PreprocessConfig, SplitConfig, TrackingConfig, TrainConfig
from lidcflow.errors import TrackingUnavailable, TrainingError
from lidcflow.store.volumes import VolumeStore
from tasks.features import compute_features, feature_reader
from tasks.sector import training_folder
from tasks.snapshot import plan_training
from tasks.snapshot_files import find_snapshot
from tasks.tracking import registry
from tasks.tracking.connection import Tracking, connect, experiment_id
from tasks.tracking.sector_models import load_model
from tests.labelled_volumes import PATIENTS, SLICES, annotated_series, scans_with_nodules, volume_of
from tests.trained import training_config

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture(scope="module")
def config(training_cluster, tmp_path_factory):
    """A workspace whose store holds volumes of LIDC's first patients."""
    config = training_config(tmp_path_factory.mktemp("workspace"), training_cluster)
    train = config.train.model_copy(update={"epochs": 2, "balance": "cap_non_nodule"})
    config = config.model_copy(update={"train": train})
    store_series(config, 0, PATIENTS)
    return config


def store_series(config, first, last):
    """Store some of the LIDC series that have nodules; the same series, the same voxels."""
    store = VolumeStore.of(config, create=True)
    for number, scan in enumerate(scans_with_nodules(last)[first:], start=first):
        store.write(annotated_series(scan), volume_of(scan, np.random.default_rng(number)))


@pytest.fixture(scope="module")
def trained(config, prefect_server):
    return train(config)


@pytest.fixture
def elsewhere(config, trained, tmp_path):
    """Return a copy of store and snapshots, with an empty registry."""
    for folder in ("store", "snapshots"):
        shutil.copytree(config.workspace / folder, tmp_path / folder)
    return config.model_copy(update={"workspace": tmp_path})


def weights_of(config, release):
    tracking = Tracking.of(config)
    return [weights for pin in release.sectors for weights in load_model(tracking, pin.uri, pin.sha256).get_weights()]


def test_a_snapshot_trains_the_same_models_whatever_store_and_settings_have_become(config, trained, elsewhere):
    store_series(elsewhere, PATIENTS, PATIENTS + 4)
    other = elsewhere.model_copy(update={"train": TrainConfig(sector_num=5, epochs=7), "split": SplitConfig(seed=4)})

    again = train(other, trained.release.snapshot_id[:8])

    assert (again.reused, again.series, again.patients) == (False, trained.series, trained.patients)
    for name in ("metrics", "threshold_nodule", "train", "split", "snapshot_id", "inputs_digest"):
        assert getattr(again.release, name) == getattr(trained.release, name)
    assert [pin.training for pin in again.release.sectors] == [pin.training for pin in trained.release.sectors]
    for ours, theirs in zip(weights_of(other, again.release), weights_of(config, trained.release), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert plan_training.fn(other).snapshot_id != trained.release.snapshot_id


def test_a_snapshot_that_was_trained_from_finds_its_release(config, trained):
    found = train(config, str(find_snapshot(trained.release.snapshot_id[:6], config.workspace, Tracking.of(config))))

    assert (found.reused, found.release.version) == (True, trained.release.version)


def test_a_snapshot_from_a_file_of_any_name_is_kept_under_its_own(elsewhere, trained, tmp_path):
    kept = find_snapshot(trained.release.snapshot_id, elsewhere.workspace, Tracking.of(elsewhere))
    kept.rename(tmp_path / "from a colleague.parquet")

    plan = plan_training.fn(elsewhere, str(tmp_path / "from a colleague.parquet"))

    assert plan.snapshot_path == kept.absolute()
    assert plan.inputs_digest == trained.release.inputs_digest


def test_a_snapshot_that_left_the_workspace_is_fetched_from_its_run(config, trained, tmp_path):
    tracking = TrackingConfig(uri=config.tracking_uri)
    elsewhere = config.model_copy(update={"workspace": tmp_path, "tracking": tracking})

    fetched = find_snapshot(trained.release.snapshot_id[:12], elsewhere.workspace, Tracking.of(elsewhere))

    assert fetched == tmp_path / "snapshots" / f"{trained.release.snapshot_id[:12]}.parquet"
    with pytest.raises(TrainingError, match="snapshot 0123456789ab: must be a file or begin a digest"):
        find_snapshot("0123456789ab", elsewhere.workspace, Tracking.of(elsewhere))


def test_the_command_lists_snapshots_with_the_releases_that_used_them(config, trained):
    workspace = ["--workspace", str(config.workspace)]

    (listed,) = json.loads(CliRunner().invoke(app, ["snapshots", *workspace, "--json"]).stdout)
    table = CliRunner().invoke(app, ["snapshots", *workspace]).stdout

    assert (listed["digest"], listed["series"]) == (trained.release.snapshot_id, PATIENTS)
    assert trained.release.version in listed["releases"]
    assert sum(listed["slices"].values()) == PATIENTS * SLICES
    assert trained.release.snapshot_id[:12] in table


def test_a_workspace_without_snapshots_says_what_takes_one_and_stays_empty(tmp_path):
    done = CliRunner().invoke(app, ["snapshots", "--workspace", str(tmp_path / "new")])

    assert done.stdout == "There is no snapshot yet; `lidcflow train` takes one.\n"
    assert not (tmp_path / "new").exists()


def test_series_that_are_gone_are_told_by_their_number_and_the_first_of_them(elsewhere, trained):
    uids = VolumeStore.of(elsewhere).series_uids()
    for uid in uids[:2]:
        shutil.rmtree(elsewhere.workspace / "store" / "series" / uid)

    with pytest.raises(
        TrainingError, match=rf"its 16 series must be in the store, got 2 that are not, the first {uids[0]}; preprocess"
    ):
        plan_training.fn(elsewhere, trained.release.snapshot_id)


def test_volumes_that_changed_are_told_by_their_number_and_the_first_of_them(elsewhere, trained):
    (scan,) = scans_with_nodules(1)
    VolumeStore.of(elsewhere).write(annotated_series(scan), volume_of(scan, np.random.default_rng(99)))

    with pytest.raises(
        TrainingError, match=rf"volumes of its 16 series must be unchanged, got 1 .* first {scan.series_instance_uid}"
    ):
        plan_training.fn(elsewhere, trained.release.snapshot_id)


def test_a_snapshot_of_another_preprocessing_is_refused(elsewhere, trained):
    shutil.rmtree(elsewhere.workspace / "store")
    small = elsewhere.model_copy(update={"preprocess": PreprocessConfig(slices=SLICES, size=16)})
    VolumeStore.of(small, create=True)

    with pytest.raises(TrainingError, match="the store must hold volumes of its preprocessing"):
        plan_training.fn(small, trained.release.snapshot_id)


def test_a_snapshot_of_another_backbone_is_refused(elsewhere, trained, tmp_path, monkeypatch):
    other = trained.release.backbone.model_copy(update={"id": "compact-0123456789ab-projections-32"})
    monkeypatch.setattr("tasks.snapshot.describe_backbone", lambda *_: other)

    with pytest.raises(TrainingError, match="the one at hand is compact-0123456789ab-projections-32"):
        plan_training.fn(elsewhere, trained.release.snapshot_id)


def test_features_that_are_no_numbers_or_of_another_shape_are_made_anew(config, trained):
    store, feature_id = VolumeStore.of(config), trained.release.backbone.id
    first, second, *_ = uids = store.series_uids()
    right = store.read_features(first, feature_id)
    wrong = {first: np.full_like(right, np.nan), second: right[:, :5]}
    for uid, features in wrong.items():
        store.write_features(uid, feature_id, features, store.record(uid).volume_digest)

    with pytest.raises(TrainingError, match=rf"series {first}: features {feature_id} must be numbers in the shape"):
        feature_reader(store, feature_id)(first)

    assert compute_features.fn(uids, feature_id, config, config.cluster.place) == 2
    np.testing.assert_array_equal(store.read_features(first, feature_id), right)


SECTORS = ("lidcflow.01-sectors.sector-01", "lidcflow.02-sectors.sector-01", "lidcflow.02-sectors.sector-02")


def test_a_training_that_is_cut_short_between_two_steps_of_its_release_goes_on_without_doubles(
    config, trained, monkeypatch
):
    impatient = config.model_copy(update={"tracking": TrackingConfig(wait_s=0)})
    registered = away_after(2, registry.register_model, monkeypatch)
    with pytest.raises(TrackingUnavailable, match="3 trained models are kept in trainings/"):
        train(impatient, again=True)
    half = versions(config)
    away_after(0, registry.set_champion, monkeypatch)
    with pytest.raises(TrackingUnavailable, match="3 trained models are kept in trainings/"):
        train(impatient, again=True)
    monkeypatch.undo()

    resumed = train(config, again=True)

    assert half == {"lidcflow": 1, **dict.fromkeys(SECTORS, 1)} | dict.fromkeys(registered, 2)
    assert versions(config) == dict.fromkeys(["lidcflow", *SECTORS], 2)
    assert (resumed.reused, resumed.champion, resumed.release.version) == (False, True, 2)
    assert resumed.release.metrics == trained.release.metrics
    assert statuses_of_sectors(config, 2) == ["FINISHED"] * 3
    assert not training_folder(plan_training.fn(config)).exists()


def away_after(calls, function, monkeypatch):
    """Make MLflow go away after some calls of a function of the registry; return the names it was called with."""
    names = []

    def away(tracking, *args, **kwargs):
        if len(names) == calls:
            raise TrackingUnavailable("tracking: must answer")
        names.append(args[0])
        return function(tracking, *args, **kwargs)

    monkeypatch.setattr(registry, function.__name__, away)
    return names


def versions(config):
    """Count the versions of every registered model."""
    client = connect(Tracking.of(config))
    names = [model.name for model in client.search_registered_models()]
    return {name: len(client.search_model_versions(f"name='{name}'")) for name in names}


def statuses_of_sectors(config, version):
    """Return how the runs below the training of a release ended."""
    tracking = Tracking.of(config)
    below = f"tags.`mlflow.parentRunId` = '{registry.training_of(tracking, version)}'"
    return [run.info.status for run in connect(tracking).search_runs([experiment_id(tracking)], below)]
