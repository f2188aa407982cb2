"""The text that digests are taken of is pandas' own, however it is made."""

import hashlib

import numpy as np
import pandas as pd
import pytest

from lidcflow.learn import digest
from lidcflow.learn.digest import csv_parts, rows_digest

PLAIN = pd.DataFrame(
    {
        "uid": pd.Series(["1.2.3", "1.2.4", "1.2.4"], dtype="str"),
        "slice": np.array([1, -2, 65], np.int16),
        "weight": [0.0, 1 / 3, 1e-7],
    }
)


def by_pandas(table):
    return table.to_csv(index=False, lineterminator="\n")


@pytest.mark.parametrize(
    "column",
    [
        ["plain", "", "b"],
        ["a,b", 'say "x"', "c"],
        ["two\nlines", "x", "y"],
        [1e22, -0.0, 123456789.123],
        [np.nan, np.inf, 1.0],
        [True, False, True],
        [1, "a", None],
    ],
    ids=str,
)
def test_the_text_is_that_of_pandas(column):
    table = PLAIN.assign(more=column)

    assert "".join(csv_parts(table)) == by_pandas(table)


def test_missing_texts_are_written_as_pandas_does():
    table = PLAIN.assign(more=pd.Series(["a", None, "b"], dtype="str"))

    assert "".join(csv_parts(table)) == by_pandas(table)


def test_a_digest_does_not_depend_on_the_size_of_the_parts(monkeypatch):
    whole = hashlib.sha256(f"before\n{by_pandas(PLAIN)}".encode()).hexdigest()

    monkeypatch.setattr(digest, "ROWS_AT_ONCE", 2)

    assert len(list(csv_parts(PLAIN))) == 3
    assert rows_digest(PLAIN, before="before\n") == whole


def test_a_table_without_rows_is_its_line_of_names():
    assert "".join(csv_parts(PLAIN.iloc[:0])) == "uid,slice,weight\n"
