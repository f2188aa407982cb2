"""An evaluation finds the figures of the training again, on the volumes and patients of its snapshot alone."""

import json
from datetime import UTC, datetime

import mlflow
import numpy as np
import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.evaluate import evaluate
from lidcflow.config import PreprocessConfig
from lidcflow.errors import ReleaseError, TrainingError
from lidcflow.learn.snapshot import Snapshot
from lidcflow.release.card import release_card
from lidcflow.release.record import ReleaseRecord
from lidcflow.report.marks import MarkKind, add_mark
from lidcflow.report.marks_table import FeedbackTable
from lidcflow.report.recommendation import Recommendation
from tasks.held_out import config_of_release, lacking_features, load_snapshot, read_split
from tasks.predict import fit_and_predict, predict_globally
from tasks.tracking.connection import Tracking, connect
from tasks.tracking.registry import training_of, version_of_training
from tests.labelled_volumes import SLICES
from tests.trained import config_file

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture(scope="module")
def marked(read):
    """A reader's marks on a reading: a slice that no range has, said, taken back and said again."""
    page = next(reading.page for reading in read.readings if reading.verdict != "not-evaluated")
    said = Recommendation.model_validate_json((page.parent / "recommendations.json").read_bytes())
    reading = {"version": said.release.version, "volume_digest": said.volume.volume_digest}
    for says, undoes in (("nodule", None), ("undone", 1), ("benign", None)):
        saying = MarkKind(reader="R1", says=says, first_slice=1, last_slice=1, undoes=undoes, **reading)
        add_mark(page.parent, said, saying, datetime(2026, 1, 2, tzinfo=UTC))
    return any(one.first_slice == 1 for one in said.ranges)


@pytest.fixture(scope="module")
def evaluated(config, trained, marked):
    return evaluate(config, str(trained.release.version), feedback=True)


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
