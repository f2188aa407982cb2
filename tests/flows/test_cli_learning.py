"""The commands of the learning and reading parts, as far as they need no training."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app, main
from flows.cli.evaluating import print_evaluation
from flows.cli.tables import print_readings, print_release
from flows.evaluate import EvaluateReport
from flows.infer import InferReport
from lidcflow.config.file import load_config
from lidcflow.errors import ConfigError, ReleaseError
from lidcflow.stats.estimate import Estimate
from tasks.infer import RecommendedRange, SeriesReading
from tasks.tracking import registry
from tasks.tracking.connection import Tracking
from tasks.tracking.erasure import mark_release
from tasks.tracking.model_files import FILE, digest_of_model
from tasks.tracking.runs import open_run
from tests.evaluations import answers, evaluation, truth  # noqa: F401


@pytest.fixture
def lidcflow(tmp_path, monkeypatch):
    """Run a command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture
def figured(release_record):
    """The record of a release with figures."""
    found = {"auroc_nodule": Estimate(value=0.8, low=0.7, high=0.9), "sensitivity_at_5": Estimate(value=0.5)}
    found |= {"log_loss": Estimate(value=0.3), "sensitivity_at_10": Estimate(value=None)}
    figures = release_record.metrics["test"].model_copy(
        update={"release": found, "sector_prior": found, "uniform": found}
    )
    pins = tuple(pin.model_copy(update={"validation": found, "test": found}) for pin in release_record.sectors)
    return release_record.model_copy(update={"metrics": {"validation": figures, "test": figures}, "sectors": pins})


def publish(record):
    """Register a release in the workspace of the working folder; its model is a file, for nobody loads it here."""
    tracking = Tracking.of(load_config())
    with open_run(tracking, "training") as run:
        run.text("network", f"model/{FILE}")
        model = f"{run.client.get_run(run.run_id).info.artifact_uri}/model"
        number = registry.register_model(tracking, "m", source=model, run_id=run.run_id)
        pinned = {"version": number, "sha256": digest_of_model(tracking, f"models:/m/{number}")}
        pins = tuple(pin.model_copy(update=pinned) for pin in record.sectors)
        record = record.model_copy(update={"sectors": pins})
        source = registry.release_folder(tracking, run.run_id)
        version = registry.register_model(tracking, record.name, source=source, run_id=run.run_id)
        record = record.model_copy(update={"version": version})
        registry.complete_release(tracking, record, run.run_id, "A sentence.")


def test_a_workspace_without_a_release_says_what_to_run_and_stays_empty(lidcflow, tmp_path):
    done = lidcflow("releases")

    assert (done.exit_code, done.stdout) == (0, "There is no release yet; run `lidcflow train`.\n")
    assert list(tmp_path.iterdir()) == []


def test_releases_are_listed_promoted_and_taken_back(lidcflow, figured):
    publish(figured)
    publish(figured)

    assert "lidcflow version 1 is the champion." in lidcflow("promote", 1).stdout
    assert "lidcflow version 2 is the champion." in lidcflow("promote", 2, "--reason", "newer").stdout
    assert "version 1 is the champion again, not version 2" in lidcflow("rollback").stdout
    listed = json.loads(lidcflow("releases", "--json").stdout)
    assert [(release["version"], release["champion"]) for release in listed] == [(2, False), (1, True)]
    table = lidcflow("releases").stdout
    assert "0.800 (0.70 to 0.90)" in table
    assert "synthetic CT" in table


def test_one_release_is_shown_as_its_card_or_its_record(lidcflow, figured):
    publish(figured)

    card = lidcflow("releases", 1).stdout
    record = json.loads(lidcflow("releases", "1", "--json").stdout)

    assert card.startswith("# lidcflow version 1\n\nRecommends slices of chest CT")
    assert "## Limits" in card
    assert record["gate"] == {"passed": True, "reason": "better", "compared_with": "sector prior", "checks": []}


def test_exporting_no_release_is_wrong_usage(lidcflow):
    done = lidcflow("releases", "--export", "out")

    assert done.exit_code == 2
    assert "which release?" in done.stderr


def test_a_release_whose_data_were_erased_says_so_in_the_list(lidcflow, figured):
    publish(figured)
    mark_release(Tracking.of(load_config()), 1, "e1", "1 series of 1 patient in its snapshot were erased on 2026-11-24")

    (listed,) = json.loads(lidcflow("releases", "--json").stdout)
    refused = lidcflow("promote", 1)

    assert listed["erased"] == ["1 series of 1 patient in its snapshot were erased on 2026-11-24"]
    rows = [line.split("│") for line in lidcflow("releases").stdout.splitlines() if line.count("│") > 2]
    assert "were erased on 2026-11-24" in " ".join(cells[-2].strip() for cells in rows)
    assert isinstance(refused.exception, ReleaseError)


def test_reading_without_a_release_names_the_way_out_before_anything_starts(lidcflow, tmp_path):
    (tmp_path / "inbox").mkdir()

    done = lidcflow("infer", "inbox")

    assert isinstance(done.exception, ReleaseError)
    assert "run `lidcflow train` first" in str(done.exception)
    assert [entry.name for entry in tmp_path.iterdir()] == ["inbox"]


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


def test_more_sectors_than_slices_is_a_wrong_configuration(lidcflow):
    done = lidcflow("train", "--sectors", 66)

    assert isinstance(done.exception, ConfigError)


def test_experiments_are_listed_with_ones_own(lidcflow, tmp_path):
    (tmp_path / "lidcflow.toml").write_text('[experiments.mine]\ngrid = { "train.seed" = [3, 4] }\n')

    listed = json.loads(lidcflow("experiment", "--list", "--json").stdout)["experiments"]

    arms = {one["name"]: one["arms"] for one in listed}
    assert arms["mine"] == ["as configured, seed 3", "as configured, seed 4"]
    assert arms["paper"] == ["baseline", "1 sector", "13 sectors", "64 x 64"]
    assert "Do more sectors help" in lidcflow("experiment", "--list").stdout


def test_an_unknown_experiment_is_told_before_anything_starts(lidcflow, tmp_path):
    done = lidcflow("experiment", "papre")

    assert isinstance(done.exception, ConfigError)
    assert list(tmp_path.iterdir()) == []


def test_an_experiment_without_a_name_is_wrong_usage(lidcflow):
    assert lidcflow("experiment").exit_code == 2


def test_a_wrong_release_ends_in_one_sentence_and_exit_code_1(lidcflow, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["lidcflow", "promote", "7"])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith("error: release 7: there must be a release")


def test_a_release_is_printed_with_its_sectors_gate_and_standing(figured, capsys):
    print_release(figured, champion=False)

    printed = capsys.readouterr().out
    assert "all sectors: no malignant slice in training" in printed
    assert "Gate passed: better." in printed
    assert "Threshold P(nodule) 0.250, chosen for 80% of validation's nodule slices." in printed
    assert "`lidcflow promote 3` would put it in force" in printed
    assert "Research use only" in printed


def test_readings_are_printed_with_source_images_and_the_page_to_open(tmp_path, capsys):
    found = RecommendedRange(
        first_slice=3,
        last_slice=5,
        first_image=40,
        last_image=52,
        z_top_mm=-10.0,
        z_bottom_mm=-22.5,
        nodule_at_peak=0.625,
    )
    page = tmp_path / "report.html"
    facts = {"study_instance_uid": "1.2", "page": page, "reused": True}
    readings = [
        SeriesReading(series_instance_uid="1.2.3", verdict="ranges", ranges=(found,), **facts),
        SeriesReading(series_instance_uid="1.2.4", verdict="not-evaluated", sentence="needs 8 slices, got 3", **facts),
    ]

    print_readings(
        InferReport(
            release="lidcflow version 1", synthetic_release=True, readings=readings, reused=2, refused=1, seconds=1.0
        )
    )

    printed = capsys.readouterr().out
    for expected in ("3 to 5", "40 to 52", "-10.0 to -22.5", "0.62", str(page), "needs 8 slices, got 3"):
        assert expected in printed
    assert "2 series read with lidcflow version 1, 2 of them unchanged and reused, 1 not evaluated." in printed
