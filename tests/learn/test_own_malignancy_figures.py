import pytest

from lidcflow.learn.own_malignancy import fit_own_malignancy
from lidcflow.learn.own_malignancy_figures import SIZE_ALONE, figures_on
from lidcflow.nodules.malignancy import embedded_malignancy
from tests.learn.rated_cubes import Brightness, Shelf, nodule_rows


@pytest.fixture(scope="module")
def rows():
    return nodule_rows(4, 3, 3)


def test_the_system_of_a_release_is_measured_beside_the_embedded_one(rows, tmp_path):
    own = fit_own_malignancy(
        "svm", rows, Shelf(), tmp_path / "own", None, steps=0, seed=0, segmenter=Brightness()
    ).model

    found = figures_on(own, rows, Shelf(), "test", segmenter=Brightness())

    assert (found.nodules, found.malignant, found.patients, found.unrated) == (12, 6, 3, 0)
    assert [one.name for one in found.systems] == [own.name, embedded_malignancy().name]
    reached = {one.design: one for one in found.systems[0].designs}
    assert reached["3 and more"].auroc.value == 1
    assert SIZE_ALONE in reached["S12 vs S45"].size_auroc
    assert 0 < found.systems[0].log_loss.value < 0.7
    assert found.systems[0].calibration_error.value < 0.5


def test_the_embedded_system_is_measured_once(rows):
    found = figures_on(embedded_malignancy(), rows, Shelf(), "test", segmenter=Brightness())

    assert [one.name for one in found.systems] == [embedded_malignancy().name]


def test_a_split_without_rated_nodules_has_no_figures(rows):
    assert figures_on(embedded_malignancy(), rows, Shelf(), "elsewhere") is None
