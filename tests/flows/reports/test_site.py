"""What the server of the reports reads of a series."""

import pytest

from flows.reports.site import Site
from lidcflow.report.recommendation import Recommendation
from tasks.infer import infer_series
from tests.candidate_inbox import candidate_inbox, small_detector  # noqa: F401


@pytest.fixture
def read(candidate_inbox):  # noqa: F811
    """Read the series; return the inbox and what was said."""
    uid = candidate_inbox.bring(candidates=True)
    result = infer_series(uid, candidate_inbox.release, candidate_inbox.config, candidate_inbox.config.reports_path)
    said = Recommendation.model_validate_json((result.page.parent / "recommendations.json").read_bytes())
    return candidate_inbox, said


def test_the_planes_of_findings_are_those_of_their_candidates(read):
    inbox, said = read

    planes = Site(inbox.config).read_planes(said)

    assert planes.keys() == {found.rank for found in said.findings}
    assert {one.shape for one in planes.values()} == {(3, 48, 48)}


def test_findings_whose_candidates_are_gone_have_no_planes(read):
    inbox, said = read

    inbox.store.delete_candidates(said.series_instance_uid)

    assert Site(inbox.config).read_planes(said) == {}
    inbox.store.delete(said.series_instance_uid)
    assert Site(inbox.config).read_planes(said) == {}


def test_a_reading_without_findings_needs_no_store(read):
    inbox, said = read

    assert Site(inbox.config).read_planes(said.model_copy(update={"findings": ()})) == {}
