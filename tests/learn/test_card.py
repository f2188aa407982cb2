"""The card of a release."""

from lidcflow.learn.card import release_card


def test_the_card_says_in_a_sentence_what_the_release_is_and_that_it_is_for_research(release_record):
    card = release_card(release_record)

    assert card.startswith("Recommends slices of chest CT with one model for each of 2 sectors on compact features; ")
    assert "trained on synthetic CT" in card
    assert "Research use only" in card


def test_the_card_names_the_sectors_that_the_all_sector_model_answers_for(release_record):
    card = release_card(release_record)

    rows = [line for line in card.splitlines() if line.startswith("| 2 |")]
    assert rows == ["| 2 | 5 to 8 | 5/2/1 | - | - | m version 1, for all sectors: no malignant slice in training |"]


def test_every_row_of_a_table_has_as_many_cells_as_its_head(release_record):
    tables = [block for block in release_card(release_record).split("\n\n") if block.startswith("|")]

    assert len(tables) == 2
    for table in tables:
        assert len({line.count(" | ") for line in table.splitlines()}) == 1
