"""A training on a store with candidates fits what reads nodules beside the sectors; its release pins what is better."""

import mlflow
import pytest

from flows.train import train
from lidcflow.config import NodulesConfig
from lidcflow.learn import own_malignancy_examples, own_segmenter
from lidcflow.nodules.malignancy import embedded_malignancy
from lidcflow.nodules.segmenter import embedded_segmenter
from lidcflow.release.pins import EMBEDDED
from tasks.finding_systems import KINDS, SEGMENTER
from tasks.findings import detector_of, systems_of
from tasks.sector import training_folder
from tasks.snapshot import plan_training
from tasks.tracking.connection import Tracking
from tasks.tracking.detectors import detector_model_name
from tests.labelled_candidates import store_volumes_with_candidates
from tests.trained import training_config

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture(scope="module")
def config(tmp_path_factory, training_cluster):
    """Return the settings of a workspace whose volumes have candidates."""
    workspace = tmp_path_factory.mktemp("detected") / "workspace"
    config = training_config(workspace, training_cluster).model_copy(update={"nodules": NodulesConfig(steps=2)})
    store_volumes_with_candidates(config, each=1)
    return config


@pytest.fixture(scope="module")
def trained(config):
    """Return the report of a training for which a few nodules are enough."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(own_segmenter, "LEAST_CUBES", 3)
        patch.setattr(own_segmenter, "LEAST_VALIDATION", 1)
        for name in ("LEAST_TRAINING", "LEAST_VALIDATION", "LEAST_PATIENTS"):
            patch.setattr(own_malignancy_examples, name, 1)
        return train(config)


@pytest.fixture(scope="module")
def run(config, trained):
    """Return the MLflow run of the detector."""
    mlflow.set_tracking_uri(Tracking.of(config).uri)
    (run,) = mlflow.search_runs(
        experiment_names=["lidcflow"], filter_string="tags.model = 'detector'", output_format="list"
    )
    return run


def test_a_release_pins_the_better_detector_and_keeps_the_reason(config, trained):
    record = trained.release
    pin = record.nodules

    own = "was better than the embedded one" in record.detector_reason
    assert pin.detector == (detector_model_name("lidcflow") if own else EMBEDDED)
    assert "validation patients: CPM" in record.detector_reason
    assert detector_of(pin, Tracking.of(config)).widths == ((0, 1) if own else (0,))


def test_the_run_of_the_detector_holds_figures_curve_and_montage(run):
    assert {"validation/cpm", "validation/cpm_embedded", "validation/auroc_filter"} <= run.data.metrics.keys()
    assert run.data.params["steps"] == "2"
    assert int(run.data.params["training_nodule_candidates"]) >= 10
    names = {one.path for one in mlflow.MlflowClient().list_artifacts(run.info.run_id)}
    assert {"froc.png", "candidates.png"} <= names
    assert run.data.tags["pinned"] in ("own", "embedded")


def test_each_system_of_findings_is_registered_and_measured_on_both_splits(config, trained):
    systems = {one.kind: one for one in trained.release.systems}

    assert set(systems) == set(KINDS)
    for kind, one in systems.items():
        assert (one.model.name, one.model.version) == (f"lidcflow.nodules.{kind}", 1)
        figures = {"dice", "dice_embedded"} if kind == SEGMENTER else {"auroc", "auroc_embedded", "log_loss"}
        assert figures <= one.validation.keys()
        assert figures <= one.test.keys()
        assert "validation patients" in one.reason


def test_a_release_pins_the_systems_that_are_better_and_reads_with_them(config, trained):
    pin = trained.release.nodules
    better = {one.kind: one.model for one in trained.release.systems if one.pinned}

    assert pin.own_segmenter == better.pop(SEGMENTER, None)
    assert [pin.own_malignancy] == (list(better.values()) or [None])
    found = systems_of(pin, Tracking.of(config))
    assert (found.segmenter is embedded_segmenter()) is (pin.own_segmenter is None)
    assert (found.malignancy is embedded_malignancy()) is (pin.own_malignancy is None)


def test_malignancy_of_findings_joins_that_of_slices(trained):
    pin = trained.release.nodules

    assert min(pin.malignant_with_sectors.candidates, pin.malignant_with_height.candidates) >= 0
    assert pin.joins_malignancy


def test_the_run_of_a_malignancy_system_holds_its_loss_and_figures(config, trained):
    mlflow.set_tracking_uri(Tracking.of(config).uri)
    (run,) = mlflow.search_runs(
        experiment_names=["lidcflow"], filter_string="tags.model = 'nodulex'", output_format="list"
    )

    assert {"validation/auroc", "validation/auroc_embedded", "test/auroc", "loss/training"} <= run.data.metrics.keys()
    assert int(run.data.params["training_malignant"]) > 0
    assert run.data.tags["better"] in ("True", "False")


def test_the_same_inputs_find_the_release_and_train_no_detector_again(config, trained):
    again = train(config)

    assert (again.reused, again.release) == (True, trained.release)
    assert not training_folder(plan_training.fn(config)).exists()


def test_other_settings_of_the_detector_are_another_training(config, trained):
    other = config.model_copy(update={"nodules": NodulesConfig(steps=3)})

    assert plan_training.fn(other).inputs_digest != plan_training.fn(config).inputs_digest
