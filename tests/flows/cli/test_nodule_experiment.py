import csv
import json

from lidcflow.errors import LabelError
from tests.learn.real_sets import write_rated_slices


def test_classical_systems_are_compared_on_a_page(lidcflow, tmp_path):
    write_rated_slices(tmp_path, per_kind=30, unrated=1)

    done = lidcflow("experiment", "classical", "--data", str(tmp_path), "--out", str(tmp_path / "out"), "--json")

    found = json.loads(done.stdout)
    assert [one["system"] for one in found["systems"]] == ["size alone", "SVM on QIF", "random forest on QIF"]
    assert found["nodules"] == 60
    assert found["unrated"] == 1
    assert all(figures["auroc"]["value"] > 0.9 for one in found["systems"] for figures in one["figures"])
    assert "10.1038/s41598-018-27569-w" in (tmp_path / "out" / "report.html").read_text()
    with (tmp_path / "out" / "comparison.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == 3 * len(found["systems"][0]["figures"])


def test_an_experiment_on_nodules_without_data_is_wrong_usage(lidcflow):
    assert lidcflow("experiment", "classical").exit_code == 2


def test_data_of_another_experiment_is_wrong_usage(lidcflow, tmp_path):
    assert lidcflow("experiment", "sectors", "--data", str(tmp_path)).exit_code == 2


def test_missing_nodules_are_a_sentence(lidcflow, tmp_path):
    done = lidcflow("experiment", "classical", "--data", str(tmp_path))

    assert isinstance(done.exception, LabelError)
