"""The card of a release."""

import pytest

from lidcflow.release.card import release_card
from lidcflow.release.outcome import DataFacts, GateCheck, OperatingPoint, Threshold
from lidcflow.stats.estimate import ClassCounts, Estimate, MarkFacts
from tests.nodules.pins import FOUND, PIN

COUNTS = ClassCounts(non_nodule=5, benign=2, malignant=1)


@pytest.fixture
def full(release_record):
    """The record of a release with all that a card can tell."""
    point = OperatingPoint(sensitivity=Estimate(value=0.8), slices_above=Estimate(value=0.25))
    counts = dict.fromkeys(("train", "validation", "test"), 2)
    check = GateCheck(rule="must rank", figure="auroc", against="version 2", value=Estimate(value=0.1), passed=True)
    data = DataFacts(
        patients=counts,
        series=counts,
        slices=dict.fromkeys(counts, COUNTS),
        manufacturers={"A|<script>": 4, "B": 2},
        kernels={"B30f": 6},
        contrast={"with": 6},
        slice_thickness_mm=(1.0, 1.25, 3.0),
    )
    return release_record.model_copy(
        update={
            "threshold": Threshold(value=0.25, target_sensitivity=0.8, validation=point, test=point),
            "data": data,
            "gate": release_record.gate.model_copy(update={"checks": (check,)}),
        }
    )


def test_the_card_says_what_the_release_is_and_is_not_for(release_record):
    card = release_card(release_record)

    assert card.startswith("# lidcflow version 3\n\nRecommends slices of chest CT with one model for each of 2 sectors")
    for expected in ("trained on synthetic CT", "Research use only", "It is not for diagnosis", "not a medical device"):
        assert expected in card


def test_the_card_tells_data_threshold_gate_and_limits_in_sections(full):
    card = release_card(full)

    titles = [line.removeprefix("## ") for line in card.splitlines() if line.startswith("## ")]
    assert titles == [
        "What it is for",
        "Data",
        "How it was trained",
        "Figures, with 95% intervals over patients",
        "Threshold",
        "Sectors",
        "Gate",
        "Limits",
        "What it pins, and how to load it",
    ]
    assert "| train | 2 | 2 | 5 | 2 | 1 |" in card
    assert "| slice thickness | 1 to 3 mm, median 1.25 mm |" in card
    assert "| test | 0.800 | 0.250 |" in card
    assert "| must rank | validation | +0.100 | passed |" in card
    assert "- Some or all images are synthetic: the figures say nothing about patients." in card
    assert "- 2 test patients are few" in card
    assert 'mlflow.keras.load_model("models:/m/1")' in card


def test_a_card_lists_the_digests_of_the_models_and_says_where_none_are_kept(full):
    digests = {pin.uri: "ab" * 32 for pin in full.sectors}

    assert f"| m version 1 | `{'ab' * 32}` |" in release_card(full.with_digests(digests))
    assert f"`lidcflow releases {full.version} --pin` keeps them" in release_card(full.with_digests({}))


def test_what_headers_say_means_nothing_in_markdown_or_html(full):
    assert r"A\|\<script\> 4, B 2" in release_card(full)


def test_a_record_from_before_threshold_and_data_has_a_card(release_record):
    assert "P(nodule) 0.250, chosen on validation for a sensitivity of 80% for nodule slices." in (
        release_card(release_record)
    )


def test_the_card_names_the_sectors_that_the_all_sector_model_answers_for(release_record):
    card = release_card(release_record)

    rows = [line for line in card.splitlines() if line.startswith("| 2 |")]
    assert rows == ["| 2 | 5 to 8 | 5/2/1 | - | - | m version 1, for all sectors: no malignant slice in training |"]
    assert "- Sectors without a model of their own, read by the all-sector model: 2." in card


def test_every_row_of_a_table_has_as_many_cells_as_its_head(full):
    tables = [block for block in release_card(full).split("\n\n") if block.startswith("|")]

    assert len(tables) == 6
    for table in tables:
        assert len({line.replace(r"\|", "").count("|") for line in table.splitlines()}) == 1


def test_the_card_names_detector_join_weights_and_figures_of_findings(full):
    card = release_card(full.model_copy(update={"nodules": PIN, "findings": {"validation": FOUND, "test": FOUND}}))

    titles = [line.removeprefix("## ") for line in card.splitlines() if line.startswith("## ")]
    assert titles[4:6] == ["Findings", "Threshold"]
    for expected in (
        "detector embedded version 202611, `abababababab`; one is a finding from P(nodule) 0.500",
        "with sector models, bias 0.50, weight 1.00 of the slice and 0.75 of its best candidate",
        "| nodules found at 4 false findings a scan | 0.700 | 0.700 |",
        "| CPM: mean from 1/8 to 8 false findings a scan | 0.625 (0.50 to 0.75) | 0.625 (0.50 to 0.75) |",
        "3 in 2 validation series, 3 in 2 test series",
    ):
        assert expected in card


def test_labels_from_marks_are_counted_and_nobody_is_named(release_record):
    marks = MarkFacts(series=2, marks=7, slices=ClassCounts(non_nodule=120, benign=8, malignant=2))

    card = release_card(release_record.model_copy(update={"marks": marks}))

    assert "2 series were labelled by 7 marks of readers on reports" in card
    assert "marks of readers" not in release_card(release_record)
