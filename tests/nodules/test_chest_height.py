import json

import numpy as np
import pytest

from lidcflow.labels.slices import LabelRow
from lidcflow.nodules.chest_height import chest_height_table, embedded_chest_height, table_text


def test_patients_that_figures_are_measured_on_are_left_out_of_the_table():
    rows = [LabelRow("LIDC-IDRI-0001", "1.1", "2" * 65), *[LabelRow("P", f"1.{n}", "0" * 65) for n in range(3)]]

    table = chest_height_table(rows, without=["LIDC-IDRI-0001"])

    assert table["series"] == 3
    assert (np.array(table["probabilities"])[:, 0] > 0.99).all()


def test_the_text_of_the_table_is_json_of_the_same_numbers():
    table = chest_height_table([LabelRow("P", "1.1", "012" * 3)], without=[])

    assert json.loads(table_text(table)) == table


@pytest.mark.parametrize("slices", [16, 65, 130, 512])
def test_the_embedded_heights_fit_volumes_of_any_number_of_slices(slices: int):
    heights = embedded_chest_height(slices)

    assert heights.shape == (slices, 3)
    np.testing.assert_allclose(heights.sum(axis=1), 1)
    nodule = 1 - heights[:, 0]
    assert nodule.mean() == pytest.approx(0.0945, abs=0.004)  # LIDC-IDRI's share of slices with a nodule
    assert nodule.argmax() / slices == pytest.approx(0.45, abs=0.06)
    assert nodule[-1] < 0.002
