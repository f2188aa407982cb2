"""A training on tiny volumes releases a model for every sector, with the compact backbone."""

import re
from importlib.resources import files

import mlflow
import numpy as np
import pytest

from flows.train import train
from lidcflow.dicom.records import Series
from lidcflow.errors import LabelError, ReleaseError
from lidcflow.labels.lidc import lidc_scans
from lidcflow.learn.snapshot import Snapshot
from lidcflow.store.volumes import VolumeStore
from tasks.champions import champions_of, score_champion
from tasks.predict import predict_globally, predict_release
from tasks.promote import promote
from tasks.snapshot import plan_training
from tasks.tracking.connection import Tracking
from tasks.tracking.profiles import find_profile
from tasks.tracking.registry import list_releases
from tests.labelled_volumes import PATIENTS, SLICES, annotated_series, volume_of

pytestmark = pytest.mark.usefixtures("prefect_server")


def test_a_training_releases_a_model_for_every_sector(trained):
    record = trained.release

    assert (trained.reused, trained.series, record.version) == (False, PATIENTS, 1)
    assert [(pin.first_slice, pin.last_slice) for pin in record.sectors] == [(1, 4), (5, 8)]
    assert record.metrics["test"].patients >= 1
    assert 0 < record.threshold_nodule < 1
    assert trained.champion is record.gate.passed
    assert record.synthetic


def test_the_same_inputs_find_the_release_they_made(config, trained):
    again = train(config)

    assert (again.reused, again.release) == (True, trained.release)


@pytest.fixture(scope="module")
def retrained(config, trained, tmp_path_factory):
    """One sector for the whole chest, on the compact backbone from a file."""
    weights = tmp_path_factory.mktemp("weights") / "mine.npz"
    weights.write_bytes((files("lidcflow.learn") / "weights" / "compact.npz").read_bytes())
    settings = config.train.model_copy(update={"sector_num": 1, "backbone_weights": weights})
    return train(config.model_copy(update={"train": settings}))


def test_other_settings_train_another_release(retrained):
    assert (retrained.reused, retrained.release.version, retrained.release.sector_num) == (False, 2, 1)
    assert retrained.release.gate.compared_with in ("sector prior", "version 1")


def test_a_backbone_of_the_package_is_pinned_by_digest_and_any_other_one_is_registered(trained, retrained):
    shipped, own = trained.release.backbone, retrained.release.backbone

    assert (shipped.model_name, shipped.version) == (None, None)
    assert (own.model_name, own.version) == (f"lidcflow.backbone.{shipped.id}", 1)
    assert own.digest == shipped.digest
    assert retrained.release.train.backbone_weights is None


def test_each_sector_model_loads_alone(config, trained):
    mlflow.set_tracking_uri(Tracking.of(config).uri)
    features = np.zeros((3, 384), dtype=np.float32)

    for pin in trained.release.sectors:
        probabilities = mlflow.pyfunc.load_model(pin.uri).predict(features)

        np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


def test_nothing_that_is_kept_of_a_training_names_a_patient(config, trained):
    files = [file for file in (config.workspace / "mlflow").rglob("*") if file.is_file()]

    assert len(files) > 10
    assert not [file for file in files if re.search(rb"LIDC-IDRI-\d{4}", file.read_bytes())]


def test_the_gate_of_a_training_is_recorded_rule_by_rule(trained):
    record = trained.release

    checks = {check.figure: check for check in record.gate.checks}
    assert set(checks) == {"auroc", "log_loss", "calibration_error", "sector_auroc"}
    assert checks["auroc"].against == "sector prior"
    assert record.threshold.value == record.threshold_nodule
    assert record.threshold.validation.sensitivity.value >= record.threshold.target_sensitivity
    assert record.data.patients["test"] == record.metrics["test"].patients


def test_a_training_keeps_a_profile_of_its_patients_that_names_none(config, trained, snapshot):
    profile = find_profile(1, Tracking.of(config))

    kept = profile.model_dump_json()
    assert len(set(profile.patients)) == snapshot.rows("train")["patient_key"].nunique()
    assert profile.scores.shape == (snapshot.rows("validation")["series_instance_uid"].nunique(), SLICES)
    assert profile.features.shape == (len(profile.patients), 384)
    assert profile.numbers["slice_spacing_mm"][0] > 0
    assert not [key for key in set(snapshot.table["patient_key"]) if key in kept]


def test_a_release_of_one_sector_is_its_own_global_baseline(config, retrained, snapshot):
    uids = tuple(snapshot.rows("test")["series_instance_uid"].unique())
    release, address = retrained.release, config.cluster.place

    everywhere = predict_globally.fn(release, uids, snapshot, config, address)

    np.testing.assert_array_equal(everywhere, predict_release.fn(release, uids, config, address))


def test_a_release_in_force_and_the_best_before_it_are_what_the_next_one_is_compared_with(
    config, trained, retrained, tmp_path
):
    tracking = Tracking.of(config)
    for version in (1, 2):
        promote(tracking, version, force=True, reason="a test")
    plan = plan_training.fn(config.model_copy(update={"train": config.train.model_copy(update={"epochs": 2})}))
    uids = Snapshot.load(plan.snapshot_path).rows("validation")["series_instance_uid"].unique().tolist()

    both = champions_of(plan)
    without = champions_of(plan.model_copy(update={"config": config.with_settings({"gate.best_ever": False})}))

    assert [record.version for record in both] == [2, 1]
    assert [record.version for record in without] == [2]
    asked = score_champion(both[0], plan, uids)
    assert asked.probabilities.shape == (len(uids), SLICES, 3)
    strange = both[0].model_copy(update={"backbone": both[0].backbone.model_copy(update={"id": "compact-gone"})})
    assert "every validation series must have the features of version 2" in score_champion(strange, plan, uids).why_not


def test_sectors_that_all_fail_leave_no_release_and_say_why(config, trained):
    diverging = config.train.model_copy(update={"learning_rate": 1e30, "epochs": 3})
    before = len(list_releases(Tracking.of(config)))

    with pytest.raises(ReleaseError, match=r"sector 1 of 2 must have a model, .* loss must be a number"):
        train(config.model_copy(update={"train": diverging}))

    assert len(list_releases(Tracking.of(config))) == before
    newest, *_ = mlflow.search_runs(
        experiment_names=["lidcflow"], filter_string="tags.inputs LIKE '%'", output_format="list"
    )
    assert newest.info.status == "FAILED"


def test_series_outside_of_lidc_alone_can_not_be_trained_on(config, tmp_path):
    foreign = config.model_copy(update={"workspace": tmp_path})
    store = VolumeStore(foreign.store_root, foreign.preprocess)
    scan = lidc_scans()[0]
    series = annotated_series(scan)
    unknown = {"series_instance_uid": "1.2.3", "study_instance_uid": "1.2"}
    store.write(Series(**{**vars(series), **unknown}), volume_of(scan, np.random.default_rng(0)))

    with pytest.raises(LabelError, match="at least one of the 1 stored series must be one of LIDC-IDRI"):
        train(foreign)
