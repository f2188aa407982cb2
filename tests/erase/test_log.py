"""The log of erasures: what stands, and a line that was cut short."""

import json
from datetime import UTC, datetime

import pytest

from lidcflow.erase.log import FILE, Erased, LogEntry, append, entries, standing
from lidcflow.erase.subject import Subject

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def entry(key, *, erasure="e1", action="erased"):
    return LogEntry(
        erasure=erasure, action=action, kind="series", key=key, asked=NOW, done=NOW, deleted=Erased(volumes=2)
    )


def test_an_erasure_stands_until_it_is_lifted(tmp_path):
    append(tmp_path, entry("1.2.3"))
    append(tmp_path, entry("1.2.4", erasure="e2"))
    append(tmp_path, entry("1.2.3", action="lifted"))

    assert standing(tmp_path) == {Subject("series", "1.2.4")}
    assert standing(tmp_path / "elsewhere") == frozenset()


def test_the_same_entry_is_written_once(tmp_path):
    append(tmp_path, entry("1.2.3"))
    append(tmp_path, entry("1.2.3"))

    assert [one.deleted.volumes for one in entries(tmp_path)] == [2]


def test_a_line_that_was_cut_short_says_nothing_and_spoils_no_other(tmp_path):
    append(tmp_path, entry("1.2.3"))
    with (tmp_path / FILE).open("a") as log:
        log.write('{"erasure": "e2", "act')

    append(tmp_path, entry("1.2.5", erasure="e3"))

    assert [one.key for one in entries(tmp_path)] == ["1.2.3", "1.2.5"]


def test_an_entry_names_its_subject(tmp_path):
    append(tmp_path, entry("1.2.3"))

    assert [one.subject for one in entries(tmp_path)] == [Subject("series", "1.2.3")]


@pytest.mark.parametrize(("before", "kept"), [("", 0), ("{\n", 1), ("{", 1)])
def test_every_entry_has_a_line_of_its_own_whatever_the_file_held(tmp_path, before, kept):
    (tmp_path / FILE).write_text(before)

    append(tmp_path, entry("1.2.3"))
    append(tmp_path, entry("1.2.4", erasure="e2"))

    content = (tmp_path / FILE).read_text()
    lines = content.split("\n")
    assert lines[:kept] == ["{"] * kept
    assert [json.loads(line)["key"] for line in lines[kept:-1]] == ["1.2.3", "1.2.4"]
    assert lines[-1] == ""
