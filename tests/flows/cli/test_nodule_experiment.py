import csv
import json

import pytest

from flows.cli import lazy
from lidcflow.errors import EngineError, LabelError
from lidcflow.experiment.published import NODULE_EXPERIMENTS
from lidcflow.learn import classical
from tests.learn.real_sets import write_rated_slices


@pytest.fixture
def small_forests(monkeypatch):
    monkeypatch.setattr(classical, "TREES", 10)


@pytest.mark.usefixtures("small_forests")
def test_classical_systems_are_compared_on_a_page(lidcflow, tmp_path):
    write_rated_slices(tmp_path, per_kind=30, unrated=1)

    done = lidcflow("experiment", "classical", "--data", str(tmp_path), "--out", str(tmp_path / "out"), "--json")

    found = json.loads(done.stdout)
    assert [one["system"] for one in found["systems"]] == ["size alone", "SVM on QIF", "random forest on QIF"]
    assert found["nodules"] == 60
    assert found["unrated"] == 1
    assert all(figures["auroc"]["value"] > 0.9 for one in found["systems"] for figures in one["figures"])
    assert found["left_out"] == ["S1 vs S45 must have at least 30 malignant and as many benign nodules, got 30 and 0"]
    assert "10.1038/s41598-018-27569-w" in (tmp_path / "out" / "report.html").read_text()
    with (tmp_path / "out" / "comparison.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == 3 * len(found["systems"][0]["figures"])


def test_a_page_in_the_workspace_is_logged(lidcflow, tmp_path, monkeypatch):
    write_rated_slices(tmp_path)
    logged = []
    monkeypatch.setattr(lazy, "learn_nodulex", by_size, raising=False)
    monkeypatch.setattr(lazy, "log_nodule_comparison", lambda *given: logged.append(given), raising=False)

    done = lidcflow("experiment", "nodulex", "--data", str(tmp_path), "--workspace", str(tmp_path / "workspace"))

    assert "Left out: S1 vs S45" in done.stdout
    assert (tmp_path / "workspace/reports/experiments/nodulex/report.html").is_file()
    assert [found.experiment for found, _files, _tracking in logged] == ["nodulex"]


def by_size(nodules, fold):
    """Return P(malignant) by a threshold of size, for each system."""
    said = (nodules.diameter_mm[fold.left_out] > 9).astype(float)
    return dict.fromkeys(NODULE_EXPERIMENTS["nodulex"].systems, said)


def test_an_experiment_on_nodules_without_data_is_wrong_usage(lidcflow):
    assert lidcflow("experiment", "classical").exit_code == 2


def test_data_of_another_experiment_is_wrong_usage(lidcflow, tmp_path):
    assert lidcflow("experiment", "sectors", "--data", str(tmp_path)).exit_code == 2


def test_missing_nodules_are_a_sentence(lidcflow, tmp_path):
    done = lidcflow("experiment", "classical", "--data", str(tmp_path))

    assert isinstance(done.exception, LabelError)


@pytest.mark.parametrize("name", ["nodulex", "triplanar"])
def test_missing_tensorflow_is_named_before_nodules_are_read(lidcflow, tmp_path, monkeypatch, name):
    monkeypatch.setattr("lidcflow.learn.backend.find_spec", lambda _: None)
    monkeypatch.delenv("KERAS_BACKEND", raising=False)

    assert isinstance(lidcflow("experiment", name, "--data", str(tmp_path)).exception, EngineError)
