import numpy as np
import pytest

from lidcflow.errors import WeightsError
from lidcflow.nodules.malignancy import MalignancyModel, embedded_malignancy, read_malignancy
from lidcflow.nodules.malignancy_scores import SCORES
from lidcflow.nodules.malignancy_system import MalignancySystem, write_system
from lidcflow.nodules.outline import outline_of
from tests.nodules.test_malignancy import cube_with_ball

CARD = {
    "name": "size alone of this store",
    "kind": "size",
    "calibration": {"intercept": 0.0, "slope": 1.0},
    "ranges": {"size": [4.0, 30.0], "texture": [[-1e9, 1e9]] * 40},
}
ARRAYS = {"kernel": np.array(2.0), "bias": np.array(-2 * np.log(10.0))}


@pytest.fixture
def written(tmp_path):
    write_system(tmp_path, ARRAYS, CARD)
    return tmp_path


def test_a_system_is_read_by_the_kind_of_its_card(written):
    model = read_malignancy(written)

    assert isinstance(model, MalignancySystem)
    assert (model.name, model.kind, len(model.sha256)) == ("size alone of this store", "size", 64)


def test_a_card_without_a_kind_is_that_of_the_package():
    assert isinstance(embedded_malignancy(), MalignancyModel)
    assert "kind" not in embedded_malignancy().card


def test_the_size_is_that_of_the_outline(written):
    model = read_malignancy(written)
    small, large = (cube_with_ball(size) for size in (6.0, 16.0))

    p_small, p_large = (
        model.answer(cube, 0.75, outline_of((cube > -400).astype(np.float32), 0.75), 10.0).probability
        for cube in (small, large)
    )

    assert p_small < 0.35
    assert p_large > 0.65


def test_what_lies_beyond_the_ranges_is_told(written):
    model = read_malignancy(written)
    narrow = MalignancySystem(model.arrays, {**CARD, "ranges": {"size": [4.0, 30.0], "texture": [[0.0, 0.0]] * 40}}, "")

    assert model.answer(cube_with_ball(10.0), 0.75, None, 10.0).outside == ()
    assert model.answer(cube_with_ball(10.0), 0.75, None, 3.0).outside == ("size",)
    assert narrow.answer(cube_with_ball(10.0), 0.75, None, 10.0).outside == ("texture",)


def test_the_same_arrays_are_the_same_bytes(tmp_path):
    assert write_system(tmp_path / "a", ARRAYS, CARD) == write_system(tmp_path / "b", ARRAYS, CARD)


@pytest.mark.parametrize(
    ("arrays", "card"),
    [
        ({"kernel": np.array(2.0)}, {}),
        ({**ARRAYS, "kernel": np.array(np.nan)}, {}),
        (ARRAYS, {"kind": "another"}),
        (ARRAYS, {"ranges": {}}),
        (ARRAYS, {"calibration": {}}),
        (ARRAYS, {"kind": "svm"}),
        (ARRAYS, {"kind": "triplanar"}),
    ],
)
def test_files_that_are_no_system_are_refused(tmp_path, arrays, card):
    write_system(tmp_path, arrays, {**CARD, **card})

    with pytest.raises(WeightsError, match=r"malignancy model: must be malignancy\.npz with its card"):
        read_malignancy(tmp_path)


def test_all_kinds_have_their_scores():
    assert set(SCORES) == {"nodulex", "triplanar", "svm", "size", "ridge"}
