import pytest

from lidcflow.learn.own_malignancy import fit_own_malignancy
from lidcflow.learn.own_malignancy_figures import split_figures
from lidcflow.nodules.malignancy import embedded_malignancy
from tests.learn.rated_cubes import nodule_rows, views_in


@pytest.fixture(scope="module")
def rows():
    return nodule_rows(4, 3, 3)


def test_a_system_is_measured_beside_the_embedded_one_and_size_alone(rows, tmp_path):
    splits = [views_in(rows, split) for split in ("train", "validation")]
    own = fit_own_malignancy("svm", *splits, tmp_path / "own", None, steps=0, seed=0).model

    found = split_figures(own, views_in(rows, "test"), 3.0)

    assert found["auroc"].value == 1
    assert {"auroc_size", "auroc_embedded", "auroc_s12_s45", "auroc_s12_s45_size"} <= found.keys()
    assert 0 < found["log_loss"].value < 0.7
    assert found["calibration_error"].value < 0.5


def test_the_embedded_system_reaches_what_it_reaches(rows):
    found = split_figures(embedded_malignancy(), views_in(rows, "test"), 3.0)

    assert found["auroc"] == found["auroc_embedded"]
    assert found["log_loss"] == found["log_loss_embedded"]
