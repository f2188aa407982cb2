"""What is compared between series."""

import numpy as np

from lidcflow.drift.distance import compare_groups
from lidcflow.drift.quantities import per_patient


def test_series_of_one_patient_count_once():
    rng, alarms = np.random.default_rng(0), {"patients": 0, "series": 0}

    for trial in range(200):
        series = np.repeat(rng.normal(size=(24, 1)), 6, axis=0)
        patients = np.repeat(np.arange(24), 6)
        as_patients, as_series = per_patient(series, patients), series
        alarms["patients"] += compare_groups(as_patients[:12], as_patients[12:], false_alarms=0.05, seed=trial).drifted
        alarms["series"] += compare_groups(as_series[:72], as_series[72:], false_alarms=0.05, seed=trial).drifted

    assert alarms["patients"] <= 20
    assert alarms["series"] > 60
