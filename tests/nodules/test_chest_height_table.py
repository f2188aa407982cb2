import json

import numpy as np

from lidcflow.labels.slices import LabelRow
from lidcflow.nodules.chest_height_table import chest_height_table, table_text


def test_patients_that_figures_are_measured_on_are_left_out_of_the_table():
    rows = [LabelRow("LIDC-IDRI-0001", "1.1", "2" * 65), *[LabelRow("P", f"1.{n}", "0" * 65) for n in range(3)]]

    table = chest_height_table(rows, without=["LIDC-IDRI-0001"])

    assert table["series"] == 3
    assert (np.array(table["probabilities"])[:, 0] > 0.99).all()


def test_the_text_of_the_table_is_json_of_the_same_numbers():
    table = chest_height_table([LabelRow("P", "1.1", "012" * 3)], without=[])

    assert json.loads(table_text(table)) == table
