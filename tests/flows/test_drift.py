"""What a check for drift leaves on the page of its run, and the event that others can wait for."""

import json
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

from flows.cli.drift import print_drift
from flows.drift import DriftReport
from lidcflow.config import DriftConfig
from lidcflow.drift.check import check_drift
from tasks.drift import ALERT, announce
from tests.drift.profiles import profile, recent

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

    announce(check)
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
    assert "1 of 15 quantities drifted: slice thickness, mm." in artifacts["drift-verdict"]
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
