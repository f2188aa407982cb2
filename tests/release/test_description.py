"""What the registry's pages say."""

from lidcflow.release.description import MOST_CHARACTERS, paged, release_description
from tests.nodules.pins import FOUND, PIN


def test_a_description_starts_with_a_sentence_then_leads_to_other_pages_then_has_tables(release_record):
    blocks = release_description(release_record, {"training": "#/runs/1"}).split("\n\n")

    assert blocks[0].startswith(
        "Recommends slices of chest CT with one model for each of 2 sectors on compact features; "
    )
    assert "Research use only" in blocks[0]
    assert blocks[1:3] == ["Gate passed: better.", "Pages: [training](#/runs/1)."]
    assert [block for block in blocks if block.startswith("### ")] == [
        "### Figures, with 95% intervals over patients",
        "### Sectors",
    ]


def test_cells_and_headings_are_kept_apart_as_the_page_draws_no_space_between():
    page = paged(["A sentence.", "### Head", "| a | b |\n| --- | --- |\n| 1 | 2 |"])

    assert page == "A sentence.\n\n&nbsp;\n\n### Head\n\n| a&emsp; | b |\n| --- | --- |\n| 1&emsp; | 2 |"


def test_a_description_shows_what_findings_reach(release_record):
    found = {"validation": FOUND, "test": FOUND}
    page = release_description(release_record.model_copy(update={"nodules": PIN, "findings": found}), {"a": "#"})

    assert "### Findings" in page
    assert "detector embedded version 202611" in page
    assert "CPM" in page


def test_a_description_fits_mlflows_column_and_says_where_the_rest_is(release_record):
    many = release_record.model_copy(update={"sectors": release_record.sectors * 40})

    text = release_description(many, {})

    assert len(text) <= MOST_CHARACTERS
    assert "The model card, an artifact of the training's run, has the tables that are not here." in text
    assert "### Figures" in text
    assert "### Sectors" not in text
    assert "### Sectors" in release_description(release_record, {})
