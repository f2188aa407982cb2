import numpy as np
import pytest

from lidcflow.learn.own_malignancy_examples import read_rated_views, why_not_trained
from tests.learn.rated_cubes import Brightness, Shelf, nodule_rows


def test_a_store_with_enough_of_each_class_is_trained_on():
    assert why_not_trained(nodule_rows(15, 3), 3.0) == ""


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (nodule_rows(14, 3), "the store has 28 malignant and 28 benign, and 6 and 6 of 3 and 3 validation patients"),
        (nodule_rows(15, 2), "the store has 30 malignant and 30 benign, and 4 and 4 of 2 and 2 validation patients"),
        (nodule_rows(15, 3, unrated=2), "the store has 29 malignant and 29 benign, and 6 and 6 of 3 and 3"),
    ],
)
def test_too_few_nodules_of_a_class_are_a_reason_with_their_numbers(rows, told):
    reason = why_not_trained(rows, 3.0)

    assert reason.startswith("training a malignancy system needs 30 malignant and as many benign nodules")
    assert told in reason


def test_the_nodules_of_one_patient_do_not_do_for_validation():
    rows = nodule_rows(15, 3)
    one = rows.table["patient_key"].where(rows.table["split"] == "train", "patient 99")

    assert "of 1 and 1 validation patients" in why_not_trained(
        type(rows)(rows.table.assign(patient_key=one), rows.masks, rows.left_out), 3.0
    )


def test_a_store_without_nodules_is_a_reason():
    rows = nodule_rows(1, 0, 0)

    assert why_not_trained(type(rows)(rows.table[:0], rows.masks[:0], rows.left_out), 3.0) == (
        "the store has no nodules with readings and a cube"
    )


def test_rated_nodules_are_read_with_the_size_that_an_answer_has():
    seen = []

    found = read_rated_views(nodule_rows(2, 0, 0, unrated=1).table, Shelf(), Brightness(), lambda *of: seen.append(of))

    assert seen == [(1, 2), (2, 2)]
    assert found.rating.tolist() == [4.5, 2.5, 3.5, 1.5, 4.5, 2.5, 3.5]
    assert found.patient.tolist() == ["patient 0"] * 3 + ["patient 1"] * 4
    np.testing.assert_allclose(found.views.size_mm, [14, 5, 14, 5, 14, 5, 14], atol=2)


def test_the_middle_slices_are_read_without_a_segmenter():
    found = read_rated_views(nodule_rows(1, 0, 0).table, Shelf(), None)

    assert len(found.views) == 4
    assert (found.views.planes[:, :, 24, 24] > -500).all()


def test_nodules_far_from_the_threshold_on_which_readers_agree_are_the_easiest():
    found = read_rated_views(nodule_rows(1, 0, 0).table, Shelf(), None)

    assert found.easiness(3.0).tolist() == [1.0, 1.0, 0.0, 0.0]
