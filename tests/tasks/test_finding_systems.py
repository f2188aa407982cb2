"""Which systems of findings a training fits, and which of them its release pins."""

import pytest

from lidcflow.config import Config, NodulesConfig, PreprocessConfig, SplitConfig
from lidcflow.erase.workspace_files import NODULE_ROWS, kept_trainings
from lidcflow.learn import own_malignancy_examples, own_segmenter
from lidcflow.learn.nodule_rows import NoduleRows
from lidcflow.release.pins import ModelPin
from lidcflow.stats.estimate import Estimate
from tasks import finding_systems as module
from tasks.detector import SWITCHED_OFF
from tasks.finding_systems import (
    KINDS,
    SEGMENTER,
    SystemResult,
    best_malignancy,
    find_nodules_of,
    nodules_folder,
    system_outcome,
    with_systems,
)
from tasks.nodule_views import read_views, views_of_batch
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
def plan(tmp_path_factory):
    """Return the plan of a training on volumes whose candidates have cubes."""
    config = config_of(tmp_path_factory.mktemp("systems"))
    store_volumes_with_candidates(config)
    return planned(config)


@pytest.fixture
def few(monkeypatch):
    """Lower the limits so that a few nodules are enough."""
    monkeypatch.setattr(own_segmenter, "LEAST_CUBES", 3)
    monkeypatch.setattr(own_segmenter, "LEAST_VALIDATION", 1)
    for name in ("LEAST_TRAINING", "LEAST_VALIDATION", "LEAST_PATIENTS"):
        monkeypatch.setattr(own_malignancy_examples, name, 1)


def test_with_few_nodules_no_system_is_trained_and_each_says_what_is_lacking(plan):
    reasons = find_nodules_of(plan)

    assert set(reasons) == set(KINDS)
    assert "training a segmenter needs 30 nodules of training patients" in reasons[SEGMENTER]
    assert "training a malignancy system needs 30 malignant and as many benign nodules" in reasons["nodulex"]


@pytest.mark.usefixtures("few")
def test_with_enough_all_are_trained_on_nodules_that_an_erasure_finds(plan):
    assert set(find_nodules_of(plan).values()) == {""}

    rows = NoduleRows.load(nodules_folder(plan) / NODULE_ROWS)
    trained = rows.table["series_instance_uid"].iloc[0]
    assert kept_trainings(training_folder(plan).parent, [trained]) == [nodules_folder(plan)]


def test_nodules_that_were_found_are_not_looked_for_again(plan, monkeypatch):
    find_nodules_of(plan)
    monkeypatch.setattr(module, "readings_for", None)

    find_nodules_of(plan)


def test_what_systems_see_is_read_by_split(plan):
    find_nodules_of(plan)
    table = NoduleRows.load_table(nodules_folder(plan) / NODULE_ROWS)
    some = tuple(sorted(table["series_instance_uid"].unique())[:2])

    views = views_of_batch(some, nodules_folder(plan) / NODULE_ROWS, plan.config)

    expected = table[table["series_instance_uid"].isin(some)].groupby("split").size().to_dict()
    assert {split: len(one.rating) for split, one in views.items()} == expected
    for split, one in views.items():
        one.save(nodules_folder(plan) / f"views-{split}.npz")
    read = read_views(nodules_folder(plan))
    assert {split: len(one.views) for split, one in read.items()} == expected
    assert all((read[split].patient == one.patient).all() for split, one in views.items())


def test_systems_that_are_switched_off_and_those_without_candidates_say_so(plan, tmp_path):
    store_volumes(config_of(tmp_path))

    switched_off = plan.model_copy(update={"config": config_of(plan.config.workspace, train=False)})
    assert set(find_nodules_of(switched_off).values()) == {SWITCHED_OFF}
    without = find_nodules_of(planned(config_of(tmp_path)))
    assert set(without.values()) == {"the validation series have no nodule candidates"}


class Failed:
    """A task that failed."""

    def result(self):
        raise ValueError("no")


def test_a_system_that_fails_costs_the_others_nothing():
    result = system_outcome("svm", Failed())

    assert (result.own, result.model_uri) == (False, None)
    assert result.reason.startswith("training the svm failed with")


def own(log_loss):
    return SystemResult(
        own=True, reason="better", model_uri="models:/m-1", validation={"log_loss": Estimate(value=log_loss)}
    )


def test_of_better_malignancy_systems_that_of_the_lowest_log_loss_is_pinned():
    assert best_malignancy({SEGMENTER: own(0.1), "svm": own(0.5), "nodulex": own(0.4)}) == "nodulex"
    assert best_malignancy({SEGMENTER: own(0.1), "svm": SystemResult(reason="worse")}) is None


def test_every_trained_system_is_registered_and_only_better_ones_are_pinned(plan, monkeypatch):
    asked = []

    def submitted(kind, _plan, _result):
        asked.append(kind)
        pin = ModelPin(name=f"lidcflow.nodules.{kind}", version=len(asked), sha256="ab")
        return type("Future", (), {"result": staticmethod(lambda: pin)})

    monkeypatch.setattr(module.register_system, "submit", submitted)
    worse = SystemResult(reason="worse", model_uri="models:/m-2")
    results = {SEGMENTER: worse, "nodulex": own(0.5), "svm": own(0.4), "ridge": SystemResult(reason="too few")}

    planned = with_systems(plan, results, "run")

    assert asked == [SEGMENTER, "nodulex", "svm"]
    assert [(one.kind, one.pinned) for one in planned.systems] == [
        (SEGMENTER, False),
        ("nodulex", False),
        ("svm", True),
        ("ridge", False),
    ]
    assert planned.reader.own_segmenter is None
    assert planned.reader.own_malignancy.name == "lidcflow.nodules.svm"
    assert planned.reader.key != plan.reader.key


def test_a_release_without_a_detector_has_no_systems(plan):
    assert with_systems(plan.model_copy(update={"detector": None}), {}, "run").systems == ()
