"""Figures that pages repeat are those of docs/measured.md."""

import re

from tests.docs.pages import ROOT

NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def numbers(text):
    return set(NUMBER.findall(text))


def test_the_figures_of_the_readme_are_those_of_the_page():
    table = (ROOT / "README.md").read_text().partition("## Measured")[2].partition("## ")[0]
    measured = numbers((ROOT / "docs" / "measured.md").read_text())
    rows = [line for line in table.splitlines() if line.startswith("|")][2:]

    assert len(rows) == 8
    assert {row: missing for row in rows if (missing := numbers(row) - measured)} == {}


def test_the_size_of_the_archive_is_the_same_on_all_pages():
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        sizes = set(re.findall(r"(1[0-9]{2}(?:\.\d)?) GB\b", page.read_text()))
        assert sizes <= {"128", "128.4", "124"}, page.name
        assert "124" not in sizes or page.name == "measured.md", page.name
