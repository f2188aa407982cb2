"""From volumes to a release to reports, with the compact backbone on tiny volumes."""

import json
import re
import sys
from dataclasses import replace
from datetime import UTC, datetime
from importlib.resources import files

import mlflow
import numpy as np
import pytest
import zarr
from typer.testing import CliRunner

from flows.cli import app
from flows.drift import drift
from flows.evaluate import evaluate
from flows.experiment import bring_volumes, experiment
from flows.infer import infer
from flows.service.status import last_drift, last_reading
from flows.train import train
from lidcflow.config import (
    ClusterConfig,
    Config,
    DriftConfig,
    InferConfig,
    LabelConfig,
    PreprocessConfig,
    SplitConfig,
    TrackingConfig,
    TrainConfig,
)
from lidcflow.config.experiment import ExperimentConfig
from lidcflow.dicom.records import Acquisition, PixelFormat, Series, SourceSlice
from lidcflow.drift.record import DriftCheck
from lidcflow.errors import ConfigError, EmptySource, EngineError, LabelError, ReleaseError, TrackingAway, TrainingError
from lidcflow.experiment.builtin import arms_of, with_own_store
from lidcflow.labels.lidc import lidc_scans, nodules_of
from lidcflow.labels.slices import nodules_of_volume, slab_labels
from lidcflow.learn.backbones import backbone_id
from lidcflow.learn.engines import feature_error
from lidcflow.learn.snapshot import Snapshot
from lidcflow.privacy import PUBLIC_KEY, patient_key
from lidcflow.release.card import release_card
from lidcflow.release.record import ReleaseRecord
from lidcflow.report.marks import Saying, add_mark
from lidcflow.report.marks_table import FeedbackTable
from lidcflow.report.recommendation import Recommendation
from lidcflow.store.address import inbox_store
from lidcflow.store.volumes import VolumeStore
from lidcflow.volume.reduce import SlabSource, Volume
from tasks.cluster.open import open_cluster
from tasks.evaluate import ask_champion, champions_of
from tasks.features import compute_features
from tasks.held_out import config_of_release, lacking_features, load_snapshot, read_split
from tasks.infer import config_for
from tasks.predict import fit_and_predict, predict_globally, predict_release
from tasks.profile import FILE, check_volumes, find_profile
from tasks.promote import promote
from tasks.snapshot import plan_training
from tasks.tracking.connection import Tracking, connect
from tasks.tracking.registry import list_releases, training_of, version_of_training

pytestmark = pytest.mark.usefixtures("prefect_server")

SLICES, SIZE, PATIENTS = 8, 32, 16


def annotated_series(scan):
    """The series of a LIDC scan as its rows tell it."""
    pixels = PixelFormat(rows=512, columns=512, bits_stored=16, signed=True)
    slices = tuple(
        SourceSlice("", f"{scan.series_instance_uid}.{number}", number, float(z_mm), 1.0, -1024.0, 0, 0, pixels)
        for number, z_mm in enumerate(scan.slice_z_mm, start=1)
    )
    return Series(
        series_instance_uid=scan.series_instance_uid,
        study_instance_uid=scan.study_instance_uid,
        frame_of_reference_uid=None,
        patient_key=patient_key(scan.patient_id, PUBLIC_KEY),
        slices=slices,
        rows=512,
        columns=512,
        row_spacing_mm=0.7,
        column_spacing_mm=0.7,
        slice_spacing_mm=scan.slice_spacing_mm,
        acquisition=Acquisition(),
        synthetic=True,
        fingerprint="0" * 64,
    )


def volume_of(scan, rng):
    """Noise like lung, with a bright square in each slice that holds a nodule."""
    h_mm = scan.slice_spacing_mm / 2
    edges_mm = np.linspace(scan.slice_z_mm[0] + h_mm, scan.slice_z_mm[-1] - h_mm, SLICES + 1)
    labels = slab_labels(edges_mm, nodules_of_volume(scan.series_instance_uid, edges_mm), h_mm, LabelConfig())
    hu = rng.integers(-900, -700, (2, SLICES, SIZE, SIZE), dtype=np.int16)
    hu[:, labels > 0, 10:16, 10:16] = 50
    middle = [int(np.abs(scan.slice_z_mm - z_mm).argmin()) for z_mm in (edges_mm[:-1] + edges_mm[1:]) / 2]
    sources = tuple(
        (SlabSource(f"{scan.series_instance_uid}.{i + 1}", i + 1, float(scan.slice_z_mm[i]), 1.0),) for i in middle
    )
    return Volume(hu, edges_mm, sources)


def blotched(volume):
    """Return a volume whose slices differ as those of a chest do: bf16 keeps 8 bits, too few to tell noise apart."""
    levels = np.random.default_rng(0).uniform(0, 1, (2, SLICES, SIZE // 8, SIZE // 8))
    contrast = np.linspace(300, 1400, SLICES)[:, None, None]
    hu = (contrast * levels.repeat(8, axis=2).repeat(8, axis=3) - 1000).astype(np.int16)
    return replace(volume, hu=hu)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """A workspace whose store holds volumes of LIDC's first patients, and a worker for all tests."""
    with open_cluster(ClusterConfig(workers=1), "train") as cluster:
        yield Config(
            workspace=tmp_path_factory.mktemp("workspace"),
            patient_key="public",
            preprocess=PreprocessConfig(slices=SLICES, size=SIZE),
            split=SplitConfig(validation=0.3, test=0.2),
            train=TrainConfig(sector_num=2, epochs=3),
            cluster=ClusterConfig(place=cluster.address),
        )


@pytest.fixture(scope="module")
def stored(config):
    store, rng = VolumeStore.of(config, create=True), np.random.default_rng(0)
    for scan in [scan for scan in lidc_scans() if nodules_of(scan)][:PATIENTS]:
        store.write(annotated_series(scan), volume_of(scan, rng))
    return store


@pytest.fixture(scope="module")
def trained(config, stored, prefect_server):
    return train(config)


@pytest.fixture(scope="module")
def source(tmp_path_factory, ct_series):
    """Two studies to read, and a series that can't be."""
    folder = tmp_path_factory.mktemp("inbox")
    for name in ("a", "b"):
        ct_series(folder / name, patient_id="Lovelace")
    ct_series(folder / "short", n=3)
    return folder


@pytest.fixture(scope="module")
def read(config, trained, source):
    return infer(str(source), with_release(config, trained.release.version))


def with_release(config, version):
    return config.model_copy(update={"infer": InferConfig(release=str(version))})


def config_file(config, folder):
    """Write what a command needs to work on the same workspace and cluster."""
    file = folder / "lidcflow.toml"
    file.write_text(
        f'workspace = "{config.workspace}"\n[preprocess]\nslices = {SLICES}\nsize = {SIZE}\n'
        f'[cluster]\nplace = "{config.cluster.place}"\n'
    )
    return file


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


@pytest.fixture(scope="module")
def marked(read):
    """A reader's marks on a reading: a slice that no range has, said, taken back and said again."""
    page = next(reading.page for reading in read.readings if reading.verdict != "not-evaluated")
    said = Recommendation.model_validate_json((page.parent / "recommendations.json").read_bytes())
    reading = {"version": said.release.version, "volume_digest": said.volume.volume_digest}
    for says, undoes in (("nodule", None), ("undone", 1), ("benign", None)):
        saying = Saying(reader="R1", says=says, first_slice=1, last_slice=1, undoes=undoes, **reading)
        add_mark(page.parent, said, saying, datetime(2026, 1, 2, tzinfo=UTC))
    return any(one.first_slice == 1 for one in said.ranges)


@pytest.fixture(scope="module")
def evaluated(config, trained, marked):
    return evaluate(config, str(trained.release.version), feedback=True)


@pytest.fixture(scope="module")
def snapshot(config, trained):
    return load_snapshot(trained.release, config, training_of(Tracking.of(config), trained.release.version))


def test_an_evaluation_finds_the_figures_that_the_training_found(evaluated, trained):
    found, test = evaluated.evaluation, trained.release.metrics["test"]

    assert (found.patients, found.nodules, found.synthetic) == (test.patients, test.nodules, True)
    assert found.own.slices.natural["auroc_nodule"].value == pytest.approx(test.release["auroc_nodule"].value)
    assert found.own.nodules["sensitivity_at_5"].value == pytest.approx(test.release["sensitivity_at_5"].value)


def test_an_evaluation_sums_up_what_readers_marked_and_the_catalog_keeps_it(config, evaluated, marked, read):
    everything, *_ = evaluated.evaluation.feedback.groups

    with FeedbackTable(config.catalog) as table:
        kept = [row.says for row in table.marks("lidcflow", 1)]
    assert kept == ["nodule", "undone", "benign"]
    assert (everything.marked, everything.readings) == (1, len(read.readings))
    assert (everything.missed_slices, everything.confirmed_slices) == ((0, 1) if marked else (1, 0))


def test_an_evaluation_leaves_a_page_in_the_workspace_and_on_the_run_of_the_training(config, evaluated):
    folder = config.workspace.absolute() / "reports" / "releases" / "lidcflow-v1"
    run_id = training_of(Tracking.of(config), 1)

    assert evaluated.page == folder / "test" / "report.html"
    assert "SYNTHETIC" in evaluated.page.read_text()
    assert json.loads((folder / "test" / "evaluation.json").read_text()) == evaluated.evaluation.model_dump(mode="json")
    mlflow.set_tracking_uri(Tracking.of(config).uri)
    kept = mlflow.artifacts.load_text(f"runs:/{run_id}/release/test/report.html")
    assert kept == evaluated.page.read_text()


def test_the_figures_of_an_evaluation_are_metrics_by_sector_too(config, evaluated):
    client, run_id = connect(Tracking.of(config)), training_of(Tracking.of(config), 1)
    own = evaluated.evaluation.own

    kept = client.get_run(run_id).data.metrics

    assert kept["evaluate-test/auroc_nodule"] == pytest.approx(own.slices.natural["auroc_nodule"].value)
    assert kept["evaluate-test/froc_at_1-of-8"] == pytest.approx(own.nodules["froc_at_1/8"].value)
    by_sector = client.get_metric_history(run_id, "evaluate-test-by-sector/accuracy")
    assert [point.step for point in by_sector] == [1, 2]


def test_a_release_is_a_folder_of_facts_in_the_workspace_on_its_run_and_anywhere(config, evaluated, trained, tmp_path):
    folder = config.workspace / "reports" / "releases" / "lidcflow-v1"
    options = ["--export", str(tmp_path / "out"), "--config", str(config_file(config, tmp_path))]

    done = CliRunner().invoke(app, ["releases", "1", *options])

    names = ["card.md", "release.json", "test/evaluation.json", "test/report.html"]
    assert done.exit_code == 0, done.stderr
    for place in (folder, tmp_path / "out"):
        found = [file.relative_to(place).as_posix() for file in sorted(place.rglob("*")) if file.is_file()]
        assert found == names
        assert ReleaseRecord.model_validate_json((place / "release.json").read_text()) == trained.release
        assert (place / "card.md").read_text() == release_card(trained.release)
    assert f"lidcflow version 1, {len(names)} files." in done.stdout


def test_the_gate_of_a_training_is_recorded_rule_by_rule(trained):
    record = trained.release

    checks = {check.figure: check for check in record.gate.checks}
    assert set(checks) == {"auroc", "log_loss", "calibration_error", "sector_auroc"}
    assert checks["auroc"].against == "sector prior"
    assert record.threshold.value == record.threshold_nodule
    assert record.threshold.validation.sensitivity.value >= record.threshold.target_sensitivity
    assert record.data.patients["test"] == record.metrics["test"].patients


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
    asked = ask_champion(both[0], plan, uids)
    assert asked.probabilities.shape == (len(uids), SLICES, 3)
    strange = both[0].model_copy(update={"backbone": both[0].backbone.model_copy(update={"id": "compact-gone"})})
    assert "every validation series must have the features of version 2" in ask_champion(strange, plan, uids).why_not


def test_an_evaluation_names_no_patient(evaluated, snapshot):
    kept = evaluated.page.read_text() + evaluated.evaluation.model_dump_json()

    assert not [key for key in set(snapshot.table["patient_key"]) if key in kept]
    assert "LIDC-IDRI" not in kept


def test_the_global_baseline_is_the_all_sector_model_of_the_same_training(config, trained, snapshot):
    uids = tuple(sorted(set(snapshot.rows("test")["series_instance_uid"])))
    release, address = trained.release, config.cluster.place

    registered = predict_globally.fn(release, uids, snapshot, config, address)
    own = fit_and_predict(uids, snapshot, config, release.backbone.id)

    assert version_of_training(Tracking.of(config), "lidcflow.01-sectors.sector-01", "another run") is None
    np.testing.assert_allclose(own, registered, atol=1e-4)


def test_a_release_of_one_sector_is_its_own_global_baseline(config, retrained, snapshot):
    uids = tuple(snapshot.rows("test")["series_instance_uid"].unique())
    release, address = retrained.release, config.cluster.place

    everywhere = predict_globally.fn(release, uids, snapshot, config, address)

    np.testing.assert_array_equal(everywhere, predict_release.fn(release, uids, config, address))


def test_the_command_evaluates_other_patients_elsewhere_and_makes_features_that_are_gone(
    config, evaluated, trained, snapshot, stored, tmp_path
):
    gone = snapshot.rows("validation")["series_instance_uid"].iloc[0]
    stored.delete_features(gone, trained.release.backbone.id)
    options = ["--split", "validation", "--out", str(tmp_path / "out"), "--config", str(config_file(config, tmp_path))]

    done = CliRunner().invoke(app, ["evaluate", "1", *options, "--json"])

    report = json.loads(done.stdout)
    assert done.exit_code == 0
    assert report["evaluation"]["patients"] == trained.release.metrics["validation"].patients
    assert report["page"] == str(tmp_path / "out" / "report.html")
    assert stored.read_features(gone, trained.release.backbone.id) is not None


def test_volumes_that_changed_since_the_snapshot_are_refused(config, trained, snapshot):
    changed = Snapshot(snapshot.table.assign(volume_digest="0" * 64), snapshot.digest)

    with pytest.raises(ReleaseError, match="lidcflow version 1: volumes must be those of its snapshot, got series"):
        read_split(trained.release, changed, "test", config)


def test_volumes_that_are_gone_are_told_by_their_series(config, trained, snapshot):
    gone = Snapshot(snapshot.table.assign(series_instance_uid="1.2.3"), snapshot.digest)

    with pytest.raises(ReleaseError, match=r"every held-out series must be in the store; .* series 1\.2\.3"):
        read_split(trained.release, gone, "test", config)


def test_features_of_another_backbone_are_refused(config, trained, stored):
    other = trained.release.backbone.model_copy(update={"id": "resnet50-0123456789ab-gray-32"})

    with pytest.raises(ReleaseError, match="features must be of its backbone resnet50-0123456789ab-gray-32"):
        lacking_features(trained.release.model_copy(update={"backbone": other}), stored.series_uids(), config)


def test_a_release_is_evaluated_on_volumes_of_its_own_preprocessing_only(config, trained):
    other = trained.release.model_copy(update={"preprocess": PreprocessConfig(slices=SLICES, size=16)})

    with pytest.raises(ReleaseError, match="the store must hold volumes of its preprocessing"):
        config_of_release(other, config)


def test_a_snapshot_that_left_the_workspace_comes_from_the_run_of_the_training(config, trained, snapshot, tmp_path):
    tracking = config.tracking.model_copy(update={"uri": config.tracking_uri})
    elsewhere = config.model_copy(update={"workspace": tmp_path, "tracking": tracking})
    run_id = training_of(Tracking.of(config), 1)

    assert load_snapshot(trained.release, elsewhere, run_id).digest == snapshot.digest
    with pytest.raises(TrainingError, match="the file must exist"):
        load_snapshot(trained.release.model_copy(update={"snapshot_id": "ab" * 32}), elsewhere, run_id)


def test_a_training_keeps_a_profile_of_its_patients_that_names_none(config, trained, snapshot):
    profile = find_profile(1, Tracking.of(config))

    kept = profile.model_dump_json()
    assert len(set(profile.patients)) == snapshot.rows("train")["patient_key"].nunique()
    assert profile.scores.shape == (snapshot.rows("validation")["series_instance_uid"].nunique(), SLICES)
    assert profile.features.shape == (len(profile.patients), 384)
    assert profile.numbers["slice_spacing_mm"][0] > 0
    assert not [key for key in set(snapshot.table["patient_key"]) if key in kept]


def test_a_profile_that_is_lost_is_made_again_from_the_snapshot(config, trained, tmp_path):
    tracking = Tracking.of(config)
    before = find_profile(1, tracking)
    run_id = training_of(tracking, 1)
    (kept,) = (config.workspace / "mlflow" / "artifacts").rglob(f"{run_id}/artifacts/{FILE}")
    kept.unlink()

    assert find_profile(1, tracking) is None
    drift(config, "1", tmp_path)
    assert find_profile(1, tracking) == before


def test_a_profile_is_made_of_the_volumes_of_the_training_alone(config, trained, snapshot, stored):
    changed = Snapshot(snapshot.table.assign(volume_digest="0" * 64), snapshot.digest)

    with pytest.raises(ReleaseError, match="must be the one that it was trained with"):
        check_volumes(trained.release, changed, stored.series_uids(), config)


def test_series_unlike_those_of_training_are_answered_with_a_warning(read):
    reading = next(reading for reading in read.readings if reading.verdict != "not-evaluated")
    said = json.loads((reading.page.parent / "recommendations.json").read_text())

    codes = [one["code"] for one in said["warnings"]]
    assert {"unlike-training-scan-length", "unlike-training-features"} <= set(codes)
    assert reading.warnings == tuple(one["sentence"] for one in said["warnings"])
    assert "Warnings about this series" in reading.page.read_text()


def test_a_check_for_drift_leaves_a_page_and_its_verdict_for_status(config, read, tmp_path):
    file = str(config_file(config, tmp_path))

    done = CliRunner().invoke(app, ["drift", "--release", "1", "--config", file, "--json"])

    report = json.loads(done.stdout)
    check = DriftCheck.model_validate(report["check"])
    assert (done.exit_code, check.verdict) == (0, "too few")
    assert (check.patients, check.series, check.not_evaluated, check.without_volume) == (1, 2, 1, 0)
    assert report["page"].endswith("report.html")
    drift = last_drift(config.drift_path)
    assert (drift.verdict, drift.release) == ("too few", "lidcflow version 1")
    assert last_reading(config.reports_path).reports == 3


def test_readings_before_the_window_do_not_count(config, read, tmp_path):
    shortly = config.model_copy(update={"drift": DriftConfig(days=1e-9)})

    report = drift(shortly, "1", tmp_path)

    assert (report.check.series, report.page) == (0, tmp_path / "report.html")


def test_every_series_of_a_source_gets_an_answer(read, source):
    verdicts = [reading.verdict for reading in read.readings]

    assert len(verdicts) == 3
    assert (read.refused, read.reused) == (1, 0)
    refused = next(reading for reading in read.readings if reading.verdict == "not-evaluated")
    assert refused.reason == "too-few-slices"
    assert refused.study_instance_uid is not None


def test_a_report_pins_the_release_and_names_its_source_images(read, trained):
    page = next(reading.page for reading in read.readings if reading.verdict != "not-evaluated")
    said = json.loads((page.parent / "recommendations.json").read_text())

    assert page.name == "report.html"
    assert (said["release"]["version"], said["release"]["threshold_nodule"]) == (1, trained.release.threshold_nodule)
    assert len(said["slices"]) == SLICES
    assert all(image["sop_instance_uid"] for one in said["slices"] for image in one["source_images"])
    assert "Lovelace" not in page.read_text()


def test_a_second_reading_reuses_what_is_unchanged(config, read, source):
    again = infer(str(source), with_release(config, 1))

    assert (again.reused, [one.page for one in again.readings]) == (3, [one.page for one in read.readings])


def test_what_was_only_read_stays_out_of_training(config, trained, read, stored):
    assert len(stored.series_uids()) == PATIENTS
    assert train(config).reused


def test_an_inbox_that_may_be_empty_is_read_without_an_error(config, trained, tmp_path):
    reading = with_release(config, 1)

    assert infer(str(tmp_path), reading, allow_empty=True).readings == []
    with pytest.raises(EmptySource, match="got an empty folder"):
        infer(str(tmp_path), reading)


def test_a_report_that_was_lost_is_written_again(config, read, source):
    page = next(reading.page for reading in read.readings if reading.verdict != "not-evaluated")
    page.unlink()

    again = infer(str(source), with_release(config, 1))

    assert (again.reused, page.is_file()) == (2, True)


def test_a_release_of_another_preprocessing_is_refused(config, read, trained, source, tmp_path):
    other = config.model_copy(update={"preprocess": PreprocessConfig(slices=SLICES, size=16), "workspace": tmp_path})
    VolumeStore(other.workspace / other.inbox_store, other.preprocess)
    elsewhere = other.tracking.model_copy(update={"uri": config.tracking_uri})

    with pytest.raises(ReleaseError, match="it reads volumes of the preprocessing"):
        infer(str(source), with_release(other.model_copy(update={"tracking": elsewhere}), 1))


def test_a_release_in_force_is_what_inference_takes(config, trained, read, source):
    promote(Tracking.of(config), 1, force=True, reason="the only one")

    report = infer(str(source), config)

    assert report.release == "lidcflow version 1"
    assert [listed.version for listed in list_releases(Tracking.of(config)) if listed.champion] == [1]


def test_the_command_exits_3_when_a_series_could_not_be_evaluated(config, read, source, tmp_path):
    file = str(config_file(config, tmp_path))

    done = CliRunner().invoke(app, ["infer", str(source), "--release", "1", "--config", file, "--json"])

    report = json.loads(done.stdout)
    assert done.exit_code == 3
    assert (report["refused"], report["notice"]) == (1, "Research use only.")


def test_the_command_writes_documents_of_every_reading_and_nothing_of_the_patient_elsewhere(
    config, read, source, tmp_path
):
    file, folder = str(config_file(config, tmp_path)), tmp_path / "documents"

    options = ["--release", "1", "--config", file, "--documents", str(folder), "--json"]
    report = json.loads(CliRunner().invoke(app, ["infer", str(source), *options]).stdout)

    assert report["undocumented"] == 0
    for reading in report["readings"]:
        place = folder / reading["study_instance_uid"] / reading["series_instance_uid"]
        assert reading["documents"] == str(place)
        assert {path.name for path in place.iterdir()} == {"key-objects.dcm", "structured-report.dcm"}
    names = [path for path in folder.rglob("*.dcm") if b"Lovelace" in path.read_bytes()]
    assert len(names) == 4
    left = [path for path in config.workspace.rglob("*") if path.is_file()]
    assert [path for path in left if b"Lovelace" in path.read_bytes()] == []


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


def test_a_series_without_voxels_is_told_and_costs_the_others_nothing(config, tmp_path):
    elsewhere = config.model_copy(update={"workspace": tmp_path})
    store, rng, scans = VolumeStore.of(elsewhere, create=True), np.random.default_rng(0), lidc_scans()[:3]
    for scan in scans:
        store.write(annotated_series(scan), volume_of(scan, rng))
    broken, *whole = [scan.series_instance_uid for scan in scans]
    next((tmp_path / "store" / "series" / broken / "0").rglob("c/0/0/0/0")).write_bytes(b"cut")
    in_pairs = elsewhere.model_copy(update={"cluster": config.cluster.model_copy(update={"feature_batch": 2})})
    feature_id = backbone_id(config.train, SIZE)

    with pytest.raises(TrainingError, match=rf"every one of 3 series .* but 1 failed twice, as {broken}"):
        compute_features.fn([broken, *whole], feature_id, in_pairs, config.cluster.place)

    assert [uid for uid in store.series_uids() if store.feature_ids(uid) == [feature_id]] == sorted(whole)


def test_features_in_another_precision_lie_beside_those_in_fp32(config, tmp_path):
    elsewhere = config.model_copy(update={"workspace": tmp_path})
    other = elsewhere.model_copy(update={"train": config.train.model_copy(update={"precision": "bf16"})})
    store, scan = VolumeStore.of(elsewhere, create=True), lidc_scans()[0]
    store.write(annotated_series(scan), blotched(volume_of(scan, np.random.default_rng(0))))
    uid, plain, named = scan.series_instance_uid, backbone_id(config.train, SIZE), backbone_id(other.train, SIZE)

    computed = [
        compute_features.fn([uid], feature_id, of, config.cluster.place)
        for feature_id, of in ((plain, elsewhere), (named, other))
    ]

    assert (computed, store.feature_ids(uid)) == ([1, 1], sorted([plain, named]))
    assert 0 < feature_error(store.read_features(uid, named), store.read_features(uid, plain)) < 0.1
    kept = zarr.open_array(f"{elsewhere.store_root}/series/{uid}/features/{named}", mode="r")
    assert 0 < kept.attrs["engine_error"] < 0.1


def test_a_release_whose_engine_is_not_installed_is_refused(config, trained, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    train = config.train.model_copy(update={"engine": "openvino"})
    backbone = trained.release.backbone.model_copy(update={"id": backbone_id(train, SIZE)})
    release = trained.release.model_copy(update={"train": train, "backbone": backbone})

    with pytest.raises(EngineError, match="engine openvino: must be installed"):
        config_for(release, config)


def test_series_outside_of_lidc_alone_can_not_be_trained_on(config, tmp_path, source, read):
    foreign = config.model_copy(update={"workspace": tmp_path})
    store = VolumeStore(foreign.store_root, foreign.preprocess)
    scan = lidc_scans()[0]
    series = annotated_series(scan)
    unknown = {"series_instance_uid": "1.2.3", "study_instance_uid": "1.2"}
    store.write(Series(**{**vars(series), **unknown}), volume_of(scan, np.random.default_rng(0)))

    with pytest.raises(LabelError, match="at least one of the 1 stored series must be one of LIDC-IDRI"):
        train(foreign)


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
    for scan in [scan for scan in lidc_scans() if nodules_of(scan)][:PATIENTS]:
        volume = volume_of(scan, rng)
        store.write(annotated_series(scan), Volume(volume.hu[..., ::2, ::2].copy(), volume.edges_mm, volume.sources))


@pytest.fixture(scope="module")
def released(config, trained):
    return list_releases(Tracking.of(config))


@pytest.fixture(scope="module")
def compared(experimental, small_volumes, released):
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


def test_an_experiment_registers_nothing_and_logs_a_run_for_each_arm(config, compared, released):
    runs = mlflow.search_runs(
        experiment_names=["lidcflow"],
        filter_string="tags.arm LIKE '%'",
        output_format="list",
    )

    statuses = {run.info.run_name: run.info.status for run in runs}
    assert statuses == {"one": "FINISHED", "small": "FINISHED", "diverging": "FAILED"}
    small = next(run for run in runs if run.info.run_name == "small")
    assert {"accuracy-test/sector-02", "loss-validation/sector-01", "test/auroc_nodule"} <= set(small.data.metrics)
    assert list_releases(Tracking.of(config)) == released


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

    bring_volumes("mine", arms, mine)
    bring_volumes("mine", arms, mine.model_copy(update={"archive": None}))

    assert len(VolumeStore.of(arms[0].config).series_uids()) == 2
    assert not (tmp_path / "store").exists()
    assert not (tmp_path / "catalog.db").exists()


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


@pytest.mark.real
def test_a_real_series_of_lidc_is_read(config, trained, read, real_data):
    report = infer(str(real_data / "LIDC-IDRI"), with_release(config, 1))

    (reading,) = report.readings
    said = json.loads((reading.page.parent / "recommendations.json").read_text())
    assert reading.verdict in ("ranges", "nothing-above-threshold")
    assert not said["synthetic"]
    assert len({image["sop_instance_uid"] for one in said["slices"] for image in one["source_images"]}) == 133


def test_a_study_of_a_pacs_is_read_and_its_refused_series_answered(config, trained, ct_series, tmp_path, pacs):
    ct_series(tmp_path / "of-a-pacs", patient_id="Hopper")
    ct_series(tmp_path / "short-of-a-pacs", n=3)
    pacs.send(tmp_path)

    report = infer("pacs:main", with_release(config, 1).model_copy(update={"access": pacs.access}))

    assert (len(report.readings), report.refused, report.reused) == (2, 1, 0)
    assert all(reading.page.is_file() for reading in report.readings)


def test_an_experiment_that_mlflow_was_away_for_is_logged_by_the_next_run(experimental, compared, monkeypatch):
    done = experimental.experiments["tiny"]
    without = done.model_copy(update={"arms": {"one": done.arms["one"]}})
    one = experimental.model_copy(
        update={"experiments": {"tiny": without}, "tracking": TrackingConfig(wait_s=0)},
    )
    monkeypatch.setattr("flows.experiment.experiment_run", away)
    with pytest.raises(TrackingAway, match="arms and page are kept in the workspace"):
        experiment("tiny", one)
    monkeypatch.undo()
    logged = runs_of_experiments(one)

    again = experiment("tiny", one)

    assert again.reused == ["one"]
    assert runs_of_experiments(one) == logged + 1
    experiment("tiny", one)
    assert runs_of_experiments(one) == logged + 1


def away(*_args):
    raise TrackingAway("tracking: must answer")


def runs_of_experiments(config):
    mlflow.set_tracking_uri(Tracking.of(config).uri)
    found = mlflow.search_runs(
        experiment_names=["lidcflow"], filter_string="tags.experiment = 'tiny'", output_format="list"
    )
    return len(found)
