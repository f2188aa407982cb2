import numpy as np
import pytest

from lidcflow.errors import LabelError
from lidcflow.evaluate.nodule_slices import evaluate_nodule_slices
from lidcflow.nodules.malignancy import embedded_malignancy
from tests.learn.real_sets import write_rated_slices


def changed(folder, old, new):
    table = folder / "nodules.csv"
    table.write_text(table.read_text().replace(old, new))
    return folder


def test_nodules_are_scored_in_each_design_beside_size_alone(tmp_path):
    found = evaluate_nodule_slices(write_rated_slices(tmp_path, per_kind=6, unrated=2), embedded_malignancy())

    assert (found.nodules, found.patients, found.unrated, found.trained_on) == (12, 6, 2, 0)
    assert [one.design for one in found.figures] == ["S12 vs S45", "3 and more"]
    assert found.figures[0].auroc.value == 1.0
    assert found.figures[0].size_auroc.keys() == {"image", "area_diameter_mm"}
    assert "2 nodules without a malignancy rating were left out." in found.notes


def test_patients_that_the_model_was_trained_on_are_told(tmp_path):
    folder = changed(write_rated_slices(tmp_path, per_kind=4), "P0,", "LIDC-IDRI-0006,")

    found = evaluate_nodule_slices(folder, embedded_malignancy())

    assert found.trained_on == 1
    assert any("1 of the 4 patients are among those that the model was trained on" in note for note in found.notes)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("patient_id", "who", "no patient_id"),
        ("5 4", "7", "ratings must be 1 to 5"),
        ("0.7,", "0,", "pixel_spacing_mm must be"),
        ("P1,", ",", "patient_id must name"),
        ("P1,", "P1\nP1,", "a row for each"),
        ("1 2", "4 4", "got 8 of one kind"),
    ],
)
def test_a_table_that_is_none_is_refused_by_name(tmp_path, old, new, message):
    folder = changed(write_rated_slices(tmp_path, per_kind=4), old, new)

    with pytest.raises(LabelError, match=rf"nodule slices nodule-slices: .*{message}.*docs/malignancy.md"):
        evaluate_nodule_slices(folder, embedded_malignancy())


@pytest.mark.parametrize("content", [None, b"nothing"])
def test_images_that_are_none_are_refused(tmp_path, content):
    folder = write_rated_slices(tmp_path, per_kind=4)
    (folder / "slices.npz").unlink()
    if content:
        (folder / "slices.npz").write_bytes(content)

    with pytest.raises(LabelError, match=r"slices\.npz must be an .npz file"):
        evaluate_nodule_slices(folder, embedded_malignancy())


def test_images_of_another_type_are_refused(tmp_path):
    folder = write_rated_slices(tmp_path, per_kind=4)
    np.savez(folder / "slices.npz", hu=np.zeros((8, 71, 71), np.uint8))

    with pytest.raises(LabelError, match="signed whole numbers"):
        evaluate_nodule_slices(folder, embedded_malignancy())
