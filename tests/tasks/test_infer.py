"""What a worker does to read one series with the embedded release."""

import pytest

from lidcflow.errors import ReleaseError
from lidcflow.report.recommendation import Recommendation
from tasks.infer import infer_series, known_results
from tasks.infer_series import config_for
from tests.candidate_inbox import candidate_inbox, small_detector  # noqa: F401


@pytest.fixture
def inbox(candidate_inbox, monkeypatch):  # noqa: F811
    """The inbox; to compute features is an error."""

    def refuse(*_):
        raise AssertionError("a release without sector models needs no features")

    monkeypatch.setattr("tasks.sector_scores.load_engine", refuse)
    monkeypatch.setattr("tasks.sector_scores.release_limits", refuse)
    return candidate_inbox


def read(inbox, folder):
    uid = inbox.series.series_instance_uid
    result = infer_series(uid, inbox.release, inbox.config, folder)
    said = Recommendation.model_validate_json((result.page.parent / "recommendations.json").read_bytes())
    return result, said


def test_a_series_is_read_by_its_candidates_without_features(inbox, tmp_path):
    inbox.bring(candidates=True)

    result, said = read(inbox, tmp_path / "reports")

    assert result.verdict == "ranges"
    assert 0 < len(said.findings) <= 10
    assert [one.code for one in said.warnings] == ["no-sector-models"]
    assert (said.release.name, said.release.sector_num) == ("lidcflow-embedded", 1)
    assert sum(one.last_slice - one.first_slice + 1 for one in said.ranges) <= inbox.config.infer.slices


def test_its_page_shows_the_planes_through_each_finding(inbox, tmp_path):
    inbox.bring(candidates=True)

    result, said = read(inbox, tmp_path / "reports")

    assert result.page.read_text().count("sagittal") >= len(said.findings)


def test_a_series_without_candidates_is_ranked_by_the_height_alone(inbox, tmp_path):
    inbox.bring(candidates=False)

    _, said = read(inbox, tmp_path / "reports")

    assert (said.findings, [one.code for one in said.warnings]) == ((), ["no-sector-models", "no-candidates"])
    heights = [sum(row[1:]) for row in inbox.release.nodules.chest_height]
    assert [one.probabilities.nodule for one in said.slices] == pytest.approx(heights)


def test_a_reading_is_reused_until_candidates_come(inbox, tmp_path):
    uid = inbox.bring(candidates=False)
    read(inbox, tmp_path / "reports")

    before = known_results([uid], inbox.release, inbox.config, tmp_path / "reports")
    inbox.bring(candidates=True)
    with_candidates = known_results([uid], inbox.release, inbox.config, tmp_path / "reports")
    read(inbox, tmp_path / "reports")
    again = known_results([uid], inbox.release, inbox.config, tmp_path / "reports")

    assert ([one.reused for one in before], with_candidates, [one.reused for one in again]) == ([True], [], [True])


def test_a_release_of_another_detector_is_refused_before_anything_starts(inbox):
    other = inbox.release.nodules.model_copy(update={"sha256": "ab" * 32})

    assert config_for(inbox.release, inbox.config).preprocess == inbox.config.preprocess
    with pytest.raises(ReleaseError, match="its weights must have the digest"):
        config_for(inbox.release.model_copy(update={"nodules": other}), inbox.config)
