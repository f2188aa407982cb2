"""Releases as versions of a model of MLflow."""

import pytest

from lidcflow.config import Config, TrackingConfig
from lidcflow.errors import ReleaseError, TrackingUnavailable
from lidcflow.release.outcome import Gate
from tasks.promote import promote, rollback
from tasks.tracking import registry
from tasks.tracking.connection import (
    Tracking,
    is_there,
    tracking_connection,
)
from tasks.tracking.runs import open_run


def test_a_release_is_found_by_version_by_alias_and_by_its_inputs(tracking, publish):
    record = publish(inputs_digest="a" * 64)
    registry.set_champion(tracking, record.version, "first")

    assert registry.load_release(tracking, "1") == record
    assert registry.load_release(tracking, "champion") == record
    assert registry.find_release(tracking, "a" * 64) == record
    assert registry.find_release(tracking, "b" * 64) is None


def test_an_incomplete_release_is_listed_but_never_loaded_or_reused(tracking, publish):
    publish(complete=False, inputs_digest="a" * 64)

    assert [listed.record for listed in registry.list_releases(tracking)] == [None]
    assert registry.find_release(tracking, "a" * 64) is None
    with pytest.raises(ReleaseError, match="must be complete, but its training was cut short"):
        promote(tracking, 1, force=True, reason="why not")


@pytest.mark.parametrize(
    ("reference", "way_out"),
    [("champion", "run `lidcflow train` first"), ("4", "run `lidcflow train` first")],
)
def test_without_any_release_the_way_out_is_to_train(tracking, reference, way_out):
    with pytest.raises(ReleaseError, match=way_out):
        registry.load_release(tracking, reference)


def test_a_release_that_is_not_there_or_not_in_force_is_told_apart(tracking, publish):
    publish()

    with pytest.raises(ReleaseError, match="must be a version or alias of the registry"):
        registry.load_release(tracking, "9")
    with pytest.raises(ReleaseError, match="must be a version or alias of the registry"):
        registry.load_release(tracking, "no such alias")
    with pytest.raises(ReleaseError, match="must have been promoted, got none that passed the gate"):
        registry.load_release(tracking, "champion")


def test_a_record_that_was_damaged_is_refused(tracking, publish):
    publish(preprocess_digest="0" * 64)

    with pytest.raises(ReleaseError, match="its volumes were made by another version of the preprocessing"):
        registry.load_release(tracking, "1")


def test_a_look_at_a_new_workspace_makes_no_database(tmp_path):
    tracking = Tracking.of(Config(workspace=tmp_path))

    assert not is_there(tracking)
    assert registry.list_releases(tracking) == []
    assert registry.champion_version(tracking) is None
    assert list(tmp_path.iterdir()) == []


def test_a_version_that_a_cut_short_attempt_registered_is_found_again(tracking):
    with open_run(tracking, "training") as run, open_run(tracking, "training") as other:
        source = registry.release_folder(tracking, run.run_id)
        versions = [
            registry.register_model(tracking, tracking.registry_name, source=source, run_id=each.run_id)
            for each in (run, run, other)
        ]

    assert versions == [1, 1, 2]


def test_a_server_that_is_away_has_no_champion_to_be_without():
    tracking = Tracking.of(Config(tracking=TrackingConfig(uri="http://127.0.0.1:9")))

    with pytest.raises(TrackingUnavailable), tracking_connection(tracking):
        registry.champion_version(tracking)


def refused():
    return Gate(passed=False, reason="no better than the prior", compared_with="sector prior")


def test_what_the_gate_refused_is_promoted_only_by_force_and_with_a_reason(tracking, publish):
    publish(gate=refused())

    for force, reason in [(False, ""), (False, "because"), (True, "")]:
        with pytest.raises(ReleaseError, match="no better than the prior; to put it in force all the same"):
            promote(tracking, 1, force=force, reason=reason)
    promote(tracking, 1, force=True, reason="a reader study")

    (listed,) = registry.list_releases(tracking)
    assert (listed.champion, listed.why_promoted) == (True, "forced: a reader study")


def test_rollback_goes_back_through_the_champions_that_were(tracking, publish):
    for _ in range(3):
        record = publish()
        promote(tracking, record.version, force=False, reason="")
    publish()

    assert rollback(tracking)[1].version == 2
    assert rollback(tracking)[1].version == 1
    with pytest.raises(
        ReleaseError, match="must have been in force before version 1 and have lost no data to an erasure, got none"
    ):
        rollback(tracking)
    assert registry.champion_version(tracking) == 1


def test_rollback_without_a_champion_is_refused(tracking, publish):
    publish()

    with pytest.raises(ReleaseError, match="a release must be in force, got none"):
        rollback(tracking)
