"""The table of a check."""

from lidcflow.drift.tables import drift_rows
from tests.drift.checks import HOSTILE


def test_the_table_has_what_drifted_first(drifted):
    verdicts = [row[-1] for row in drift_rows(drifted)]

    assert verdicts[0] == "drift"
    assert verdicts[1] == f"drift; new: {HOSTILE}"
    assert set(verdicts[5:]) == {"steady"}
