"""Which model answers for a sector."""

import pytest

from lidcflow.errors import ReleaseError
from tasks.release import choose_models, jobs_of
from tasks.sector import ALL_SECTORS, SectorJob, SectorResult


def result(sector, uri=None, reason=""):
    return SectorResult(job=SectorJob(sector_num=2, sector=sector), model_uri=uri, reason=reason)


def stand_in(uri=None, reason=""):
    return SectorResult(job=ALL_SECTORS, model_uri=uri, reason=reason)


def test_a_sector_without_a_model_is_answered_for_by_the_all_sector_one():
    results = [stand_in("models:/all"), result(1, "models:/one"), result(2, reason="no benign slice in training")]

    models = choose_models(results, slices=8, sector_num=2)

    assert [(model.start, model.stop, model.uri) for model in models] == [(0, 4, "models:/one"), (4, 8, "models:/all")]


def test_a_failed_all_sector_model_does_no_harm_where_every_sector_has_its_own():
    results = [stand_in(reason="out of memory"), result(1, "models:/one"), result(2, "models:/two")]

    assert [model.uri for model in choose_models(results, slices=8, sector_num=2)] == ["models:/one", "models:/two"]


def test_a_sector_that_has_neither_stops_the_release_with_both_reasons():
    results = [stand_in(reason="out of memory"), result(1, "models:/one"), result(2, reason="no benign slice")]

    with pytest.raises(ReleaseError, match=r"sector 2 of 2 must have a model, .*'no benign slice' .*'out of memory'"):
        choose_models(results, slices=8, sector_num=2)


def test_one_sector_is_the_all_sector_model_and_trained_once():
    assert jobs_of(1) == [ALL_SECTORS]
    assert len(jobs_of(5)) == 6
