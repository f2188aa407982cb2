import csv
import json
import re

import pytest

from lidcflow.experiment.comparison import compare_arms
from lidcflow.experiment.page import DATA, PAGE, TABLE, is_written, rendered, write
from tests.learn.arms import LABELS, arm, result

CALLED = dict.fromkeys(range(3), LABELS)


def files_of(experiment, failed, **options):
    """Files of an experiment with a baseline and 13 sectors, of two seeds."""
    of_arms = {
        "baseline": (arm("baseline", **{"train.balance": "equal"}), result(CALLED, **options)),
        "13 sectors, seed 0": (arm("13 sectors, seed 0", "13 sectors"), result(CALLED)),
        "13 sectors, seed 1": (arm("13 sectors, seed 1", "13 sectors", **{"train.seed": 1}), result(CALLED)),
    }
    comparison = compare_arms(experiment, "Which <one>?", list(of_arms.values()), failed, resamples=5)
    return comparison, rendered(comparison, {name: done for name, (_, done) in of_arms.items()})


@pytest.fixture(scope="module")
def paper():
    return files_of("paper", {"64 x 64": "loss must be a number"}, fallback="no benign slice in training", asked=30)


def text_of(files):
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", files[PAGE]))


def test_the_page_says_that_the_papers_figures_are_training_accuracies(paper):
    text = text_of(paper[1])

    assert "The paper’s 40, 55, 60 and 40% are training accuracies of runs without validation." in text
    assert "a curiosity, not as a target" in text
    assert "60%" in text


def test_the_page_of_another_experiment_is_silent_about_the_paper():
    _, files = files_of("mine", {})

    assert "paper" not in text_of(files)


def test_the_page_names_sets_that_could_not_be_met_and_sectors_that_fell_back(paper):
    text = text_of(paper[1])

    assert "could not be met; not padded" in text
    assert "all-sector model: no benign slice in training" in text


def test_the_page_lists_arms_that_failed_with_their_reasons(paper):
    assert "loss must be a number" in text_of(paper[1])


def test_the_page_shows_seeds_intervals_and_a_figure_for_each_configuration(paper):
    page = paper[1][PAGE]

    assert "seeds 1.000 to 1.000" in page
    assert page.count("data:image/svg+xml;base64,") == 1 + 2
    assert "Research use only" in page
    assert "Synthetic CT" in page


def test_the_page_needs_no_network_and_escapes_what_it_is_told(paper):
    page = paper[1][PAGE]

    assert not re.findall(r"(?:src|href)=\"(?!data:)", page)
    assert "Which &lt;one&gt;?" in page


def test_the_table_has_a_row_for_each_arm(paper):
    rows = list(csv.DictReader(paper[1][TABLE].splitlines()))

    assert [(row["arm"], row["seed"]) for row in rows][1:] == [("13 sectors, seed 0", "0"), ("13 sectors, seed 1", "1")]
    assert rows[0]["test_accuracy"] == "1.0"
    assert json.loads(paper[1][DATA])["experiment"] == "paper"


def test_the_same_comparison_gives_the_same_files_and_is_known_again(paper, tmp_path):
    comparison, files = paper

    write(files, tmp_path / "paper")

    assert is_written(comparison, tmp_path / "paper")
    assert not is_written(comparison.model_copy(update={"question": "Other?"}), tmp_path / "paper")
    assert sorted(file.name for file in (tmp_path / "paper").iterdir()) == [TABLE, DATA, PAGE]
    assert (
        files_of("paper", {"64 x 64": "loss must be a number"}, fallback="no benign slice in training", asked=30)[1]
        == files
    )
