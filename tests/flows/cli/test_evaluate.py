from pathlib import Path

from flows.cli.evaluate import print_evaluation
from flows.evaluate import EvaluateReport
from lidcflow.errors import ReleaseError
from tests.evaluations import answers, evaluation, truth  # noqa: F401


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
