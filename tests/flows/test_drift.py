"""What a check for drift leaves on the page of its run, and the event that others can wait for."""

import json
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from typer.testing import CliRunner

from flows.cli import app
from flows.cli.drift import print_drift
from flows.drift import DriftReport, drift
from flows.service.status import last_drift, last_report
from lidcflow.config import DriftConfig
from lidcflow.drift.check import check_drift
from lidcflow.drift.record import DriftCheck
from lidcflow.errors import ReleaseError
from lidcflow.learn.snapshot import Snapshot
from tasks.drift import ALERT, announce_drift
from tasks.profile import check_volumes
from tasks.tracking.connection import Tracking
from tasks.tracking.profiles import FILE, find_profile
from tasks.tracking.registry import training_of
from tests.drift.profiles import profile, recent
from tests.trained import config_file

NOW = datetime.now(UTC)
WAIT_S = 30


@pytest.fixture
def drifted(release_record):
    """Thirty patients with slices twice as thick as in training."""
    known = profile(release_record, np.random.default_rng(0))
    lately = recent(np.random.default_rng(1), slice_thickness_mm=5.0)
    return check_drift(release_record, known, lately, DriftConfig(false_alarms=0.05), NOW)


@flow(name="drift-told")
def told(check):
    from prefect.runtime import flow_run

    announce_drift(check)
    return flow_run.id


def events_of(client, name):
    """Ask the server until the event is there: it is sent beside the work."""
    wanted = {"filter": {"event": {"name": [name]}, "occurred": {"since": str(NOW - timedelta(minutes=1))}}}
    until_s = time.monotonic() + WAIT_S
    while time.monotonic() < until_s:
        if found := client.request("POST", "/events/filter", json=wanted).json()["events"]:
            return found
        time.sleep(0.1)
    return []


@pytest.mark.usefixtures("prefect_server")
def test_a_check_leaves_a_table_a_sentence_and_an_event_that_names_what_drifted(drifted):
    run_id = told(drifted)

    with get_client(sync_client=True) as client:
        mine = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))
        artifacts = {one.key: one.data for one in client.read_artifacts(artifact_filter=mine)}
        (event,) = events_of(client, ALERT)
    rows = json.loads(artifacts["drift"])
    assert (rows[0]["quantity"], rows[0]["now"], rows[0]["verdict"]) == ("slice thickness, mm", "5 (5 to 5)", "drift")
    assert "1 of 16 quantities drifted: slice thickness, mm." in artifacts["drift-verdict"]
    assert "Research use only" in artifacts["drift-verdict"]
    assert event["resource"] == {"prefect.resource.id": "lidcflow.release.lidcflow.3"}
    assert event["payload"] == {"quantities": ["slice_thickness_mm"], "patients": 30}


def test_a_check_is_printed_with_what_drifted_first_and_the_page_to_open(drifted, tmp_path, capsys):
    print_drift(DriftReport(check=drifted, page=tmp_path / "report.html", seconds=1.0))

    printed = capsys.readouterr().out
    assert "lidcflow version 3: drift" in printed
    assert printed.index("slice thickness, mm") < printed.index("slice spacing, mm")
    assert str(tmp_path / "report.html") in printed
    assert "Research use only." in printed


def test_a_profile_that_is_lost_is_made_again_from_the_snapshot(config, trained, tmp_path):
    tracking = Tracking.of(config)
    before = find_profile(1, tracking)
    run_id = training_of(tracking, 1)
    (kept,) = (config.workspace / "mlflow" / "artifacts").rglob(f"{run_id}/artifacts/{FILE}")
    kept.unlink()

    assert find_profile(1, tracking) is None
    drift(config, "1", tmp_path)
    assert find_profile(1, tracking) == before


def test_a_profile_is_made_of_the_volumes_of_the_training_alone(config, trained, snapshot, stored):
    changed = Snapshot(snapshot.table.assign(volume_digest="0" * 64), snapshot.digest)

    with pytest.raises(ReleaseError, match="must be the one that it was trained with"):
        check_volumes(trained.release, changed, stored.series_uids(), stored)


def test_a_check_for_drift_leaves_a_page_and_its_verdict_for_status(config, read, tmp_path):
    file = str(config_file(config, tmp_path))

    done = CliRunner().invoke(app, ["drift", "--release", "1", "--config", file, "--json"])

    report = json.loads(done.stdout)
    check = DriftCheck.model_validate(report["check"])
    assert (done.exit_code, check.verdict) == (0, "too few")
    assert (check.patients, check.series, check.not_evaluated, check.without_volume) == (1, 2, 1, 0)
    assert report["page"].endswith("report.html")
    last = last_drift(config.drift_path)
    assert (last.verdict, last.release) == ("too few", "lidcflow version 1")
    assert last_report(config.reports_path).reports == 3


def test_readings_before_the_window_do_not_count(config, read, tmp_path):
    shortly = config.model_copy(update={"drift": DriftConfig(days=1e-9)})

    report = drift(shortly, "1", tmp_path)

    assert (report.check.series, report.page) == (0, tmp_path / "report.html")
