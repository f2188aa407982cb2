"""A study read by `lf.read_study`: the answer of `lidcflow infer`, as tables, as a page, and in a notebook."""

import json
import subprocess
import sys
from contextlib import contextmanager

import pytest

import lidcflow as lf
from lidcflow.errors import EmptySource, ReleaseError
from lidcflow.report.recommendation import Recommendation
from tests.candidate_inbox import PREPROCESS, VOXEL_MM, inbox_of, small_chest
from tests.nodules.detectors import in_place_of_the_packages


@contextmanager
def small_study(folder, ct_series):
    """Make a folder with a small chest and a series of three images, a configuration, and a release that finds much."""
    with in_place_of_the_packages(folder), pytest.MonkeyPatch.context() as patch:
        release = inbox_of(folder, ct_series, small_chest(), VOXEL_MM).release
        ct_series(folder / "source" / "short", series_uid="1.2.4", n=3)
        settings = f"[preprocess]\nslices = {PREPROCESS.slices}\nsize = {PREPROCESS.size}\n"
        (folder / "lidcflow.toml").write_text(settings)
        patch.setattr("tasks.tracking.in_force.embedded_release", lambda _: release)
        yield folder / "source", folder / "lidcflow.toml"


@pytest.fixture
def study(tmp_path, ct_series):
    with small_study(tmp_path, ct_series) as made:
        yield made


@pytest.fixture(scope="module")
def results(tmp_path_factory, ct_series):
    """The results of a study, read once."""
    with small_study(tmp_path_factory.mktemp("study"), ct_series) as (source, config):
        return lf.read_study(source, config=config)


@pytest.fixture
def evaluated(results):
    """The result of the series that could be evaluated."""
    return next(one for one in results if one.verdict != "not-evaluated")


def test_every_series_has_a_result(results):
    assert {one.series_instance_uid: one.verdict for one in results} == {"1.2.3": "ranges", "1.2.4": "not-evaluated"}
    assert [one.study_instance_uid for one in results] == sorted(one.study_instance_uid for one in results)


def test_findings_ranges_and_slices_are_tables_of_the_recommendation(evaluated):
    found, said = evaluated, evaluated.recommendation

    assert found.findings.sop_instance_uid.tolist() == [one.sop_instance_uid for one in said.findings]
    assert found.ranges.first_slice.tolist() == [one.first_slice for one in said.ranges]
    assert found.slices.nodule.tolist() == [one.probabilities.nodule for one in said.slices]
    assert len(found.slices) == PREPROCESS.slices
    assert found.warnings[0].startswith("This release has no sector models")


def test_a_notebook_shows_findings_probabilities_warnings_and_the_notice(results, evaluated):
    shown = results._repr_html_()

    for expected in (
        "Research use only, not for diagnosis.",
        "P(malignant)",
        "<polygon",
        "This release has no sector models",
        "too-few-slices",
        f"{len(evaluated.findings)} findings in",
    ):
        assert expected in shown


def test_a_notebook_shows_nothing_above_the_threshold_as_such(evaluated):
    said = evaluated.recommendation
    nothing = {
        "verdict": "nothing-above-threshold",
        "findings": (),
        "ranges": (),
        "highest_slices": said.slices[:2],
        "ranges_left_out": 0,
        "slices_left_out": 0,
    }
    quiet = lf.SeriesResult(Recommendation.model_validate(said.model_dump() | nothing))

    assert "above the threshold of" in quiet._repr_html_()
    assert "Highest slices" in quiet._repr_html_()


def test_what_is_saved_is_what_infer_writes(evaluated, tmp_path):
    page = evaluated.save(tmp_path / "reports")

    assert page.read_text() == evaluated.to_html()
    saved = Recommendation.model_validate_json((page.parent / "recommendations.json").read_bytes())
    assert saved == evaluated.recommendation


def test_a_workspace_keeps_the_volumes_and_none_leaves_nothing(study, tmp_path):
    source, config = study
    before = set(tmp_path.iterdir())
    lf.read_study(source, config=config)
    assert set(tmp_path.iterdir()) == before

    lf.read_study(source, config=config, workspace=tmp_path / "kept")
    assert lf.open_store(tmp_path / "kept" / "inbox-store").series == ["1.2.3"]


def test_a_release_of_a_registry_needs_to_be_told_which(study):
    with pytest.raises(ReleaseError, match="release 3: the MLflow that has it must be named, got neither"):
        lf.read_study(study[0], 3)


def test_a_release_that_is_not_in_the_registry_is_named(study, tmp_path):
    source, config = study
    with pytest.raises(ReleaseError, match="release"):
        lf.read_study(source, 3, config=config, workspace=tmp_path / "kept")


def test_a_folder_without_ct_is_named(tmp_path, ct_series):
    ct_series(tmp_path / "mr", Modality="MR")
    with pytest.raises(EmptySource, match="must hold CT series"):
        lf.read_study(tmp_path / "mr")


@pytest.mark.real
def test_a_real_scan_has_the_answer_of_the_command(real_data, tmp_path):
    source = real_data / "LIDC-IDRI" / "LIDC-IDRI-0001"
    command = [
        sys.executable,
        "-c",
        "from flows.cli import main; main()",
        "infer",
        source,
        "--workspace",
        tmp_path / "workspace",
    ]
    subprocess.run(command, check=True, capture_output=True)
    (written,) = (tmp_path / "workspace" / "reports").rglob("recommendations.json")

    (result,) = lf.read_study(source)

    assert json.loads(result.recommendation.to_json()) == json.loads(written.read_text())
    assert result.to_html() == written.with_name("report.html").read_text()
