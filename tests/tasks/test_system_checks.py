"""Systems of findings are compared with those of the release in force, where they are others."""

import numpy as np
import pytest

from lidcflow.errors import ReleaseError
from lidcflow.nodules.malignancy import embedded_malignancy
from lidcflow.release.pins import ModelPin, SystemFacts
from tasks import system_checks as module
from tasks.finding_systems import SEGMENTER, find_nodules_of, nodules_folder
from tasks.system_checks import compare_systems
from tests.learn.rated_cubes import nodule_rows, views_in
from tests.nodules.pins import PIN
from tests.tasks.test_finding_systems import plan  # noqa: F401  a fixture

SVM = ModelPin(name="lidcflow.nodules.svm", version=2, sha256="cd")


class Contrary:
    """Calls benign what the embedded system calls malignant."""

    def probabilities(self, views):
        return 1 - embedded_malignancy().probabilities(views)


@pytest.fixture
def rated(plan):  # noqa: F811
    """Keep views of validation nodules beside the training."""
    nodules_folder(plan).mkdir(parents=True, exist_ok=True)
    file = nodules_folder(plan) / "views-validation.npz"
    views_in(nodule_rows(0, 12, 0), "validation").save(file)
    yield plan
    file.unlink()


def champion(release_record, **own):
    return release_record.model_copy(update={"version": 4, "nodules": PIN.model_copy(update=own)})


def test_the_same_systems_need_no_comparison(rated, release_record):
    assert compare_systems.fn(rated, champion(release_record)) == ()


def test_a_release_that_loses_a_better_system_is_held_to_a_margin(rated, release_record, monkeypatch):
    monkeypatch.setattr(module, "_loaded", lambda *_: Contrary())
    worse = rated.model_copy(update={"systems": (SystemFacts(kind="svm", reason="", pinned=True, model=SVM),)})

    (lost,) = compare_systems.fn(worse, champion(release_record))
    (won,) = compare_systems.fn(rated, champion(release_record, own_malignancy=SVM))

    assert (lost.figure, lost.against, lost.passed, lost.limit) == ("malignancy", "version 4", False, -0.05)
    assert won.passed is True
    assert won.value.value == pytest.approx(-lost.value.value)
    assert won.patients == 12


def test_a_system_that_is_gone_is_not_judged_and_refuses_nothing(rated, release_record, monkeypatch):
    def gone(*_):
        raise ReleaseError("model models:/lidcflow.nodules.svm/2: must be whole in the registry")

    monkeypatch.setattr(module, "_loaded", gone)

    (check,) = compare_systems.fn(rated, champion(release_record, own_malignancy=SVM))

    assert check.passed is None
    assert "not judged: model models:/lidcflow.nodules.svm/2" in check.remark


def test_outlines_are_compared_on_the_nodules_of_validation_patients(plan, release_record, monkeypatch):  # noqa: F811
    class Nothing:
        def probabilities(self, hu, _voxel_mm):
            return np.zeros(hu.shape, np.float32)

    monkeypatch.setattr(module, "_loaded", lambda *_: Nothing())
    blank = ModelPin(name="lidcflow.nodules.segmenter", version=1, sha256="ef")
    of_blank = plan.model_copy(update={"systems": (SystemFacts(kind=SEGMENTER, reason="", pinned=True, model=blank),)})
    find_nodules_of(plan)

    (check,) = compare_systems.fn(of_blank, champion(release_record))

    assert check.figure == "dice"
    assert check.value.value < 0
    assert check.passed is None  # fewer patients than can tell
