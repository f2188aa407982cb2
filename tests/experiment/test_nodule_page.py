import csv
import io
import json

from lidcflow.experiment.nodule_page import nodule_rows, rendered_nodules, size_rows
from tests.experiment.nodule_comparisons import small_comparison


def test_a_row_holds_a_system_in_a_design():
    first, second = nodule_rows(small_comparison())

    assert (first["design"], first["system"], second["system"]) == ("S12 vs S45", "first", "second")
    assert (first["auroc"].value, second["auroc"].value) == (0.75, 1.0)
    assert first["above reference"] is None
    assert second["above reference"].value == 0.25
    assert second["above image"].value == 0.25


def test_the_nodules_of_a_design_and_size_alone_are_listed():
    (row,) = size_rows(small_comparison())

    assert (row["benign"], row["malignant"], row["patients"]) == (2, 2, 4)
    assert row["size alone, image"].value == 0.75


def test_the_page_shows_published_figures_and_what_differs():
    page = rendered_nodules(small_comparison())["report.html"]

    assert "AUROC .971 to .993" in page
    assert "Data: &lt;drawn&gt;." in page
    assert "Left out: S1 vs S45 must have more." in page
    assert "+0.250" in page


def test_files_for_programs_hold_the_same_figures():
    files = rendered_nodules(small_comparison())

    rows = list(csv.DictReader(io.StringIO(files["comparison.csv"])))
    assert [(row["system"], row["auroc"]) for row in rows] == [("first", "0.75"), ("second", "1.0")]
    assert json.loads(files["comparison.json"])["systems"][1]["figures"][0]["auroc"]["value"] == 1.0
