import json
from pathlib import Path

from flows.cli import lazy
from flows.cli.evaluate import FIGURE_COLUMNS, detector_of_release, figure_rows, print_evaluation
from flows.evaluate import EvaluateReport
from lidcflow.config import Config
from lidcflow.errors import LabelError, ReleaseError
from lidcflow.nodules.detector import embedded_detector
from lidcflow.release.embedded import embedded_pin
from lidcflow.release.pins import NodulePin
from tests.evaluations import answers, evaluation, truth  # noqa: F401
from tests.learn.real_sets import write_patches, write_rated_slices
from tests.nodules.outlined import write_cubes


def test_evaluating_without_a_release_names_the_way_out_before_anything_starts(lidcflow, tmp_path):
    done = lidcflow("evaluate")

    assert isinstance(done.exception, ReleaseError)
    assert "run `lidcflow train` first" in str(done.exception)
    assert list(tmp_path.iterdir()) == []


def test_an_evaluation_is_printed_with_baselines_sectors_and_the_page_to_open(evaluation, capsys):  # noqa: F811
    print_evaluation(EvaluateReport(evaluation=evaluation, page=Path("releases/report.html"), seconds=2.0))

    printed = capsys.readouterr().out
    for expected in ("size-only oracle", "1.000 (1.00 to 1.00)", "nodules seen in 5 slices", "on 5 test patients"):
        assert expected in printed
    assert "releases/report.html" in printed
    assert "All images are synthetic: these figures say nothing about patients. Research use only." in printed


def test_the_rows_of_a_csv_file_are_every_figure_with_its_interval(evaluation):  # noqa: F811
    rows = figure_rows(evaluation)

    natural = evaluation.own.slices.natural["auroc_nodule"]
    wanted = [natural.value, natural.low, natural.high]
    assert all(list(row) == FIGURE_COLUMNS for row in rows)
    assert [evaluation.own.key, "slices", "auroc_nodule", *wanted] in [list(row.values()) for row in rows]
    assert {row["contestant"] for row in rows} == {one.key for one in evaluation.contestants}


def test_a_csv_file_is_for_the_evaluation_of_a_release(lidcflow, tmp_path):
    assert lidcflow("evaluate", "--cubes", tmp_path, "--csv", "figures.csv").exit_code == 2


def test_patches_are_scored_without_a_workspace(lidcflow, tmp_path):
    file = write_patches(tmp_path / "data", n=60)

    done = lidcflow("evaluate", "--patches", file, "--json")

    found = json.loads(done.stdout)
    assert found["figures"]["patches"] + found["train_left_out"] == 60
    assert found["figures"]["auroc"]["value"] > 0.9
    assert [entry.name for entry in tmp_path.iterdir()] == ["data"]


def test_the_figures_of_patches_are_one_sentence_for_people(lidcflow, tmp_path):
    done = lidcflow("evaluate", "--patches", write_patches(tmp_path, n=60))

    assert "AUROC" in done.stdout
    assert "sensitivity at a specificity of 95%" in done.stdout
    assert "patches of the split train were left out" in done.stdout


def test_the_detector_that_scores_patches_is_the_one_that_the_release_pins(monkeypatch, release_record):
    pin = NodulePin(**embedded_pin(65).model_dump() | {"detector": "lidcflow.nodules.detector", "version": 3})
    of_ones_own, asked = object(), []
    monkeypatch.setattr(lazy, "release_in_force", lambda _: release_record.model_copy(update={"nodules": pin}))
    monkeypatch.setattr(lazy, "detector_of", lambda pin, _: asked.append(pin.version) or of_ones_own)

    assert detector_of_release("champion", Config()) is of_ones_own
    assert asked == [3]


def test_a_release_without_a_detector_lends_that_of_the_package(monkeypatch, release_record):
    asked = []
    monkeypatch.setattr(lazy, "release_in_force", lambda config: asked.append(config.infer.release) or release_record)

    assert detector_of_release("7", Config()) is embedded_detector()
    assert asked == ["7"]


def test_a_file_that_holds_no_patches_is_refused(lidcflow, tmp_path):
    done = lidcflow("evaluate", "--patches", tmp_path / "absent.npz")

    assert isinstance(done.exception, LabelError)
    assert "absent.npz: must be an .npz file" in str(done.exception)


def test_cubes_are_scored_without_a_workspace(lidcflow, tmp_path):
    done = lidcflow("evaluate", "--cubes", write_cubes(tmp_path), "--json")

    found = json.loads(done.stdout)
    assert found["figures"]["cubes"] + found["trained_on_left_out"] == 4
    assert "segmenter" in found["figures"]["ways"]


def test_nodule_slices_are_scored_without_a_workspace(lidcflow, tmp_path):
    folder = write_rated_slices(tmp_path, per_kind=4)

    done = lidcflow("evaluate", "--nodule-slices", folder, "--json")

    found = json.loads(done.stdout)
    assert done.exit_code == 0
    assert found["nodules"] == 8
    assert {one["design"] for one in found["figures"]} == {"S12 vs S45", "3 and more"}


def test_patches_and_nodule_slices_are_two_evaluations(lidcflow, tmp_path):
    done = lidcflow("evaluate", "--nodule-slices", tmp_path, "--patches", tmp_path)

    assert done.exit_code == 2
