"""Tables in a pipe: they fit its columns, and no UID is broken over two lines."""

import pytest

from flows.cli.output import print_columns, print_facts, print_table

UID = "1.3.6.1.4.1.14519.5.2.1.6279.6001.298806137288633453246975630178"
STUDY = UID[:-1] + "9"


@pytest.fixture(params=[20, 60, 80, 120, 200])
def columns(request, monkeypatch):
    """As many columns as a shell says its pipe has."""
    monkeypatch.setenv("COLUMNS", str(request.param))
    return request.param


def lines_of(capsys):
    return capsys.readouterr().out.splitlines()


def longest_unless_one_word(lines):
    """Return the length of the longest line, leaving out those that a single word makes longer."""
    return max(len(line) for line in lines if len(UID) > len(max(line.split(), key=len, default="")))


def test_a_table_with_two_uids_fits_the_pipe_and_breaks_neither(columns, capsys):
    names = ("seen (UTC)", "study", "series", "images", "step", "next try (UTC)", "reason")
    row = ("2026-11-30 11:00:00", STUDY, UID, 133, "delivered", None, "the images were sent twice, and read once")

    print_table("Inbox", names, [row, row])

    text = "\n".join(lines := lines_of(capsys))
    assert (text.count(UID), text.count(STUDY)) == (2, 2)
    assert "Research use only." in text
    assert longest_unless_one_word(lines) <= max(columns, len("2026-11-30") + len("next try (UTC)") + 2)


def test_what_fits_80_columns_is_a_table(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")

    print_table("Sectors", ("sector", "slices"), [(1, "1 to 7"), (2, "8 to 14")])

    lines = lines_of(capsys)
    assert lines[1].startswith("┏")
    assert max(map(len, lines)) <= 80


def test_names_and_values_are_wrapped_between_words_only(columns, capsys):
    print_facts({"inbox": "3 delivered; the last round found nothing new", "series": UID, "none": ""})

    lines = lines_of(capsys)
    assert lines[-1] == "none"
    assert sum(UID in line for line in lines) == 1
    assert longest_unless_one_word(lines) <= columns


def test_columns_without_a_frame_become_names_and_values_where_the_line_is_short(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")

    print_columns(("flow", "series"), [("infer", UID)])
    print_columns(("flow", "runs"), [("infer", "hourly")])

    assert lines_of(capsys) == ["flow    infer", f"series  {UID}", "", "flow   runs  ", "infer  hourly"]
