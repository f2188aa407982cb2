"""What the card says of the data."""

import numpy as np
import pandas as pd

from lidcflow.learn.snapshot import Snapshot
from lidcflow.release.data_facts import data_facts
from lidcflow.stats.estimate import ClassCounts

ROWS = pd.DataFrame(
    {
        "series_instance_uid": ["1", "1", "2", "3"],
        "patient_key": ["a", "a", "a", "b"],
        "label": np.array([0, 1, 2, 0], dtype=np.int8),
        "split": ["train", "train", "train", "test"],
    }
)


def test_patients_series_and_slices_are_counted_by_split():
    facts = data_facts(Snapshot(ROWS, "digest"), [])

    assert facts.patients == {"train": 1, "validation": 0, "test": 1}
    assert facts.series == {"train": 2, "validation": 0, "test": 1}
    assert facts.slices["train"] == ClassCounts(non_nodule=1, benign=1, malignant=1)
    assert facts.slice_thickness_mm is None


def test_series_are_counted_by_scanner_the_commonest_first_and_rare_ones_together():
    many = [{"kernel": f"K{number}"} for number in range(10)] + [
        {"kernel": "K3"},
        {"manufacturer": "A", "kernel": None},
    ]

    facts = data_facts(Snapshot(ROWS, "digest"), [{**one, "slice_thickness_mm": 2.0} for one in many])

    assert facts.manufacturers == {"not known": 11, "A": 1}
    assert next(iter(facts.kernels.items())) == ("K3", 2)
    assert facts.kernels["others"] == 3
    assert facts.contrast == {"not known": 12}
    assert facts.slice_thickness_mm == (2.0, 2.0, 2.0)
