"""Every series of a source gets an answer from the release in force, and what is unchanged is reused."""

import json
import sys

import pytest
from typer.testing import CliRunner

import lidcflow as lf
from flows.cli import app
from flows.infer import infer
from flows.train import train
from lidcflow.config import ClusterConfig, Config, PreprocessConfig
from lidcflow.errors import EmptySource, EngineError, ReleaseError
from lidcflow.learn.backbones import backbone_id
from lidcflow.release.embedded import NAME, VERSION
from lidcflow.store.volumes import VolumeStore
from tasks.infer_series import config_for
from tasks.promote import promote
from tasks.tracking.connection import Tracking
from tasks.tracking.profiles import FILE as PROFILE
from tasks.tracking.registry import list_releases
from tests.labelled_volumes import PATIENTS, SIZE, SLICES
from tests.trained import config_file, copy_workspace, training_config, with_release

pytestmark = pytest.mark.usefixtures("prefect_server")


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


def test_series_unlike_those_of_training_are_answered_with_a_warning(read):
    reading = next(reading for reading in read.readings if reading.verdict != "not-evaluated")
    said = json.loads((reading.page.parent / "recommendations.json").read_text())

    codes = [one["code"] for one in said["warnings"]]
    assert {"unlike-training-scan-length", "unlike-training-features"} <= set(codes)
    assert reading.warnings == tuple(one["sentence"] for one in said["warnings"])
    assert "Warnings about this series" in reading.page.read_text()


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


@pytest.fixture
def without_profile(training_folder, training_cluster, tmp_path):
    """Return the settings of a workspace with a release from before profiles: nobody can tell what is unlike it."""
    config = training_config(copy_workspace(training_folder, tmp_path / "workspace"), training_cluster)
    (profile,) = config.workspace.rglob(PROFILE)
    profile.unlink()
    return config


def test_a_review_budget_of_one_slice_is_kept_and_the_next_one_reads_again(without_profile, source, tmp_path):
    config = without_profile
    one = config.infer.model_copy(update={"release": "1", "slices": 1})

    few = infer(str(source), config.model_copy(update={"infer": one}), tmp_path / "few")
    more = infer(str(source), with_release(config, 1), tmp_path / "few")

    ranges = [reading.ranges[0] for reading in few.readings if reading.ranges]
    assert ranges
    assert all(one.first_slice == one.last_slice for one in ranges)
    assert all(len(reading.ranges) <= 1 for reading in few.readings)
    cut = [reading for reading in few.readings if reading.slices_left_out]
    assert (more.reused, [reading.verdict for reading in more.readings]) == (
        len(few.readings) - len(cut),
        [reading.verdict for reading in few.readings],
    )


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


def test_a_release_whose_engine_is_not_installed_is_refused(config, trained, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    train = config.train.model_copy(update={"engine": "openvino"})
    backbone = trained.release.backbone.model_copy(update={"id": backbone_id(train, SIZE)})
    release = trained.release.model_copy(update={"train": train, "backbone": backbone})

    with pytest.raises(EngineError, match="engine openvino: must be installed"):
        config_for(release, config)


def test_an_empty_workspace_reads_with_the_embedded_release_and_without_keras(source, tmp_path):
    config = Config(
        workspace=tmp_path / "workspace",
        patient_key="public",
        preprocess=PreprocessConfig(slices=SLICES, size=SIZE),
        cluster=ClusterConfig(workers=1),
    )

    report, again = infer(str(source), config), infer(str(source), config)

    assert (report.release, report.embedded_release) == (f"{NAME} version {VERSION}", True)
    assert sorted(reading.verdict for reading in report.readings)[1:] == ["nothing-above-threshold"] * 2
    warned = [reading.warnings for reading in report.readings if reading.verdict != "not-evaluated"]
    assert all("no sector models" in first and "No lungs were found" in second for first, second in warned)
    assert (
        again.reused,
        list(VolumeStore(config.inbox_store_root, config.preprocess).feature_ids(uid_of(report))),
    ) == (
        3,
        [],
    )


def uid_of(report):
    return next(reading.series_instance_uid for reading in report.readings if reading.verdict != "not-evaluated")


def test_a_release_in_force_is_what_inference_takes(config, trained, read, source):
    promote(Tracking.of(config), 1, force=True, reason="the only one")

    report = infer(str(source), config)

    assert report.release == "lidcflow version 1"
    assert [listed.version for listed in list_releases(Tracking.of(config)) if listed.champion] == [1]


def test_the_python_api_gives_the_same_answers_without_prefect(config, read, source, tmp_path):
    settings = config_file(config, tmp_path)

    results = lf.read_study(source, 1, tracking=config.tracking_uri, workspace=tmp_path / "own", config=settings)

    assert [one.series_instance_uid for one in results] == [one.series_instance_uid for one in read.readings]
    for result, reading in zip(results, read.readings, strict=True):
        written = (reading.page.parent / "recommendations.json").read_text()
        assert in_nanos(result.recommendation.to_json()) == in_nanos(written)


def in_nanos(text):
    """Return JSON with numbers to nine digits: TensorFlow adds up in another order in a process with more threads."""
    return json.loads(text, parse_float=lambda number: round(float(number), 9))


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
