"""The scheduled retraining from end to end: it decides, trains, evaluates, and says why."""

import json

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.sorting import ArtifactSort
from typer.testing import CliRunner

from flows.cli import app
from flows.erase import erase
from flows.retrain import retrain
from flows.service.status import status_of
from flows.train import train
from lidcflow.catalog import locks
from lidcflow.catalog.locks import at_work
from lidcflow.config import RetrainConfig
from lidcflow.erase.subject import Subject
from lidcflow.errors import ResourceError, TrainingError
from lidcflow.release.last_check import last_retraining_check
from tasks.retraining import assess_changes
from tasks.tracking.connection import Tracking
from tasks.tracking.registry import champion_version, list_releases
from tests.labelled_volumes import PATIENTS, SIZE, SLICES, scans_with_nodules, store_volumes
from tests.trained import training_config

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture(scope="module")
def config(training_cluster, tmp_path_factory):
    """Settings of a workspace in which 2 new series are enough to train again."""
    config = training_config(tmp_path_factory.mktemp("workspace"), training_cluster)
    train = config.train.model_copy(update={"sector_num": 1, "epochs": 2})
    return config.model_copy(update={"train": train, "retrain": RetrainConfig(new_series=2)})


@pytest.fixture(scope="module")
def scans():
    return scans_with_nodules(PATIENTS + 2)


@pytest.fixture(scope="module")
def first(config, scans, prefect_server):
    """The first check, as a state: there are volumes and no release."""
    store_volumes(config, scans[:PATIENTS])
    return retrain(config, return_state=True)


def with_settings(config, **train):
    return config.model_copy(update={"train": config.train.model_copy(update=train)})


def told_on_the_page():
    wanted = ArtifactFilter(key=ArtifactFilterKey(any_=["retraining"]))
    with get_client(sync_client=True) as client:
        newest, *_ = client.read_artifacts(artifact_filter=wanted, sort=ArtifactSort.CREATED_DESC)
    return newest.data


def test_a_workspace_without_volumes_is_told_and_nothing_is_trained(config, tmp_path):
    report = retrain(config.model_copy(update={"workspace": tmp_path}))

    assert (report.outcome, report.why) == ("not-due", "Nothing was trained: no volume is stored yet.")


def test_what_can_not_be_split_yet_is_told_and_is_no_failure(config, scans, tmp_path):
    young = config.model_copy(update={"workspace": tmp_path})
    store_volumes(young, scans[:1])

    report = retrain(young)

    assert report.outcome == "not-due"
    assert "must hold at least one patient, got none of 1" in report.why


def test_the_first_release_is_trained_evaluated_and_judged_in_one_sentence(config, first):
    report = first.result()

    assert report.version == 1
    assert report.page.is_file()
    assert report.why.startswith("Version 1 was trained because there is no release yet, ")
    assert report.outcome == ("promoted" if champion_version(Tracking.of(config)) == 1 else "refused")
    assert (first.name, first.message) == (report.outcome.capitalize(), report.why)


def test_without_a_change_nothing_is_trained_and_page_and_status_say_so(config, first):
    report = retrain(config)

    assert report.why == "Nothing was trained: nothing has changed since version 1."
    assert told_on_the_page().startswith(report.why)
    found = status_of(config).retraining
    assert (found.outcome, found.why) == ("not-due", report.why)


def test_the_command_says_why_and_a_forced_training_of_the_same_finds_its_release(config, first, tmp_path):
    file = tmp_path / "lidcflow.toml"
    file.write_text(
        f'workspace = "{config.workspace}"\n[preprocess]\nslices = {SLICES}\nsize = {SIZE}\n'
        "[split]\nvalidation = 0.3\ntest = 0.2\n[train]\nsector_num = 1\nepochs = 2\n"
        f'[cluster]\nplace = "{config.cluster.place}"\n'
    )

    done = CliRunner().invoke(app, ["retrain", "--config", str(file)])
    forced = CliRunner().invoke(app, ["retrain", "--force", "--json", "--config", str(file)])

    assert done.stdout.splitlines()[0] == "Nothing was trained: nothing has changed since version 1."
    report = json.loads(forced.stdout)
    assert (report["outcome"], report["version"]) == ("reused", 1)
    assert report["why"] == "Nothing was trained: it was asked for, but version 1 was made from exactly this."


def test_sectors_chosen_for_a_training_stay_until_the_configuration_is_edited_there(config, scans, tmp_path):
    own = config.model_copy(update={"workspace": tmp_path})
    store_volumes(own, scans[:PATIENTS])
    chosen = train(own, choices={"train.sector_num": 2}).release

    kept, edited = assess_changes.fn(own), assess_changes.fn(with_settings(own, sector_num=3))
    found = retrain(own, force=True)

    assert (chosen.sector_num, chosen.chosen) == (2, {"train.sector_num": 1})
    assert str(kept.decision.why) == "nothing has changed since version 1"
    assert edited.decision.why == "settings have changed since version 1: train.sector_num"
    assert (found.outcome, found.version) == ("reused", 1)


def test_a_check_during_other_work_waits_and_two_trainings_never_run_at_once(config, first, monkeypatch):
    monkeypatch.setattr(locks, "PATIENCE_S", 0.0)

    with at_work(config.workspace, "train", alone=True):
        report = retrain(config)
        with pytest.raises(ResourceError, match="only one train may run at a time"):
            train(config)

    assert report.why == "Nothing was trained: a training is under way."


def test_a_training_that_fails_leaves_all_as_it_was_and_waits_for_a_day(config, first):
    before, diverging = list_releases(Tracking.of(config)), with_settings(config, learning_rate=1e30)

    with pytest.raises(TrainingError, match=r"it was time, because settings .*: train.learning_rate, but the training"):
        retrain(diverging)
    page, again, mended = told_on_the_page(), retrain(diverging), retrain(config)

    assert list_releases(Tracking.of(config)) == before
    assert "the training failed with ReleaseError" in page
    assert "but the same training failed 0.0 h ago with ReleaseError" in again.why
    assert mended.why == "Nothing was trained: nothing has changed since version 1."
    assert last_retraining_check(config.workspace).failure.error == "ReleaseError"


def test_enough_new_series_make_another_release_and_fewer_do_not(config, first, scans):
    store_volumes(config, scans[PATIENTS : PATIENTS + 1])
    one = assess_changes.fn(config)
    store_volumes(config, scans[PATIENTS + 1 :])

    report = retrain(config)

    assert (one.decision.due, one.changes.new_series) == (False, 1)
    assert report.changes.new_series == 2
    assert report.why.startswith("Version 2 was trained because 2 new labelled series have come since version 1, ")
    assert last_retraining_check(config.workspace).failure is None


def test_an_erased_patient_makes_it_time_again(config, first, scans):
    erase(Subject("series", scans[0].series_instance_uid), config)
    marked = list_releases(Tracking.of(config))[0]

    stock = assess_changes.fn(config)

    assert stock.decision.due
    assert stock.decision.why == f"version {marked.version} is marked: {marked.erased[0]}"
    assert not stock.changes.gone_series
