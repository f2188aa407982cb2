"""Whether a training has enough for a detector of its own, and what its release pins."""

import shutil

import pytest

from lidcflow.config import Config, NodulesConfig, PreprocessConfig, SplitConfig
from lidcflow.erase.workspace_files import kept_trainings
from lidcflow.errors import TrainingError
from lidcflow.learn.candidate_rows import CandidateRows
from lidcflow.learn.snapshot import Snapshot
from lidcflow.release.pins import DetectorPin
from lidcflow.store.volumes import VolumeStore
from tasks import detector as module
from tasks.detector import (
    CANDIDATES,
    SWITCHED_OFF,
    DetectorResult,
    detector_folder,
    detector_outcome,
    judge_candidates_of,
    with_detector,
)
from tasks.sector import training_folder
from tasks.snapshot import plan_training
from tests.labelled_candidates import store_volumes_with_candidates
from tests.labelled_volumes import SIZE, SLICES, store_volumes


def config_of(workspace, **nodules):
    return Config(
        workspace=workspace,
        patient_key="public",
        preprocess=PreprocessConfig(slices=SLICES, size=SIZE),
        split=SplitConfig(validation=0.3, test=0.2),
        nodules=NodulesConfig(**nodules),
    )


def planned(config):
    plan = plan_training.fn(config)
    training_folder(plan).mkdir(parents=True, exist_ok=True)
    return plan


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Return a workspace that nobody changes, with volumes that have candidates in nodules and in other tissue."""
    workspace = tmp_path_factory.mktemp("stored")
    store_volumes_with_candidates(config_of(workspace))
    return workspace


@pytest.fixture
def workspace(stored, tmp_path):
    """Return a copy of the workspace."""
    return shutil.copytree(stored, tmp_path / "workspace")


def test_a_store_with_enough_nodules_trains_a_detector_and_keeps_the_judged_candidates(workspace):
    plan = planned(config_of(workspace))

    assert judge_candidates_of(plan) == ""

    rows = CandidateRows.load(detector_folder(plan) / CANDIDATES)
    assert rows.positives("train") >= 10
    assert set(rows.table["split"]) == {"train", "validation"}


def test_candidates_that_were_judged_are_not_judged_again(workspace, monkeypatch):
    plan = planned(config_of(workspace))
    judge_candidates_of(plan)
    monkeypatch.setattr(module, "_judged", None)

    assert judge_candidates_of(plan) == ""


def test_an_erasure_finds_what_is_kept_of_an_unfinished_training(workspace):
    plan = planned(config_of(workspace))
    judge_candidates_of(plan)
    learned = CandidateRows.load(detector_folder(plan) / CANDIDATES).table["series_instance_uid"].iloc[0]

    assert kept_trainings(training_folder(plan).parent, [learned]) == [detector_folder(plan)]
    assert kept_trainings(training_folder(plan).parent, ["1.2.3"]) == []


def test_a_store_without_candidates_trains_none_and_says_why(tmp_path):
    store_volumes(config_of(tmp_path))

    assert judge_candidates_of(planned(config_of(tmp_path))) == "the validation series have no nodule candidates"


def test_a_store_without_enough_nodules_trains_none_and_says_what_is_lacking(workspace):
    store = VolumeStore.of(config_of(workspace))
    plan = planned(config_of(workspace))
    training = Snapshot.load(plan.snapshot_path).rows("train")["series_instance_uid"].unique()
    for uid in training:
        store.delete_candidates(uid)

    assert "the store has 0 and" in judge_candidates_of(plan)
    assert not detector_folder(plan).exists()


def test_a_detector_that_is_asked_for_in_any_case_is_refused_where_it_cannot_be_trained(tmp_path):
    config = config_of(tmp_path, train=True)
    store_volumes(config)

    with pytest.raises(TrainingError, match="add series, or set nodules"):
        judge_candidates_of(planned(config))


def test_a_detector_that_is_switched_off_is_not_trained(workspace):
    assert judge_candidates_of(planned(config_of(workspace, train=False))) == SWITCHED_OFF


class Failed:
    """A task that failed."""

    def result(self):
        raise TrainingError("candidates must be those that were judged")


def test_a_training_that_fails_costs_the_release_its_own_detector_alone(workspace):
    plan = planned(config_of(workspace))

    result = detector_outcome(Failed(), plan)

    assert (result.own, result.model_uri) == (False, None)
    assert "training the detector failed with" in result.reason
    with pytest.raises(TrainingError):
        detector_outcome(Failed(), planned(config_of(workspace, train=True)))


@pytest.mark.parametrize("own", [True, False])
def test_the_own_detector_is_pinned_only_where_it_is_better(workspace, monkeypatch, own):
    plan = planned(config_of(workspace))
    mine = DetectorPin(detector="lidcflow.nodules.detector", version=1, sha256="ab", threshold=0.2)
    tags = {}
    monkeypatch.setattr(module, "run_of", lambda *_: type("Run", (), {"tags": tags.update}))
    monkeypatch.setattr(
        module.register_detector, "submit", lambda *_: type("Future", (), {"result": staticmethod(lambda: mine)})
    )

    pinned = with_detector(plan, DetectorResult(own=own, reason="measured"), "run")

    assert pinned.detector == (mine if own else plan.detector)
    assert pinned.detector_reason == "measured"
    assert tags == {"detector": "measured"}
