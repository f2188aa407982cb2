"""Schedules: the file, and what the configuration overrides."""

from datetime import UTC, datetime

import pytest

from flows.service.schedules import ANCHOR, Schedule, last_due, scheduled
from lidcflow.config import Config
from lidcflow.errors import ConfigError


def test_the_configuration_overrides_schedules(tmp_path):
    serve = {"infer_every_s": 60, "retrain_cron": "0 4 * * 6", "drift_cron": "0 7 * * *", "timezone": "Europe/Berlin"}

    deployments = scheduled(Config(workspace=tmp_path, serve=serve))

    assert [str(deployment.schedules[0]) for deployment in deployments if deployment.schedules] == [
        "0 1 * * * (Europe/Berlin)",
        "0 4 * * 6 (Europe/Berlin)",
        "every 60 s",
        "0 7 * * * (Europe/Berlin)",
        "40 3 * * * (Europe/Berlin)",
    ]


@pytest.mark.parametrize(
    ("cron", "timezone", "due"),
    [
        ("0 1 * * *", "UTC", "2026-06-02T01:00:00+00:00"),
        ("0 1 * * *", "Europe/Berlin", "2026-06-01T23:00:00+00:00"),
        ("20 * * * *", None, "2026-06-02T09:20:00+00:00"),
        ("30 10 * * *", None, "2026-06-01T10:30:00+00:00"),
    ],
)
def test_the_last_due_time_of_a_cron_is_in_its_time_zone(cron, timezone, due):
    now = datetime(2026, 6, 2, 10, 0, 0, 5, tzinfo=UTC)

    assert last_due(Schedule(slug="it", cron=cron, timezone=timezone), now).isoformat() == due


def test_an_interval_is_never_due_for_a_catch_up_and_its_anchor_does_not_move():
    interval = next(one for one in scheduled(Config()) if one.name == "infer").schedules[0]

    assert last_due(interval, datetime.now(UTC)) is None
    assert interval.anchor_date == ANCHOR == datetime(2020, 1, 1, tzinfo=UTC)


def test_a_deployment_without_its_source_is_paused_and_names_the_key():
    missing = {deployment.name: deployment.missing for deployment in scheduled(Config())}
    complete = {deployment.name: deployment.missing for deployment in scheduled(Config(archive="a", inbox="b"))}

    assert {name: key for name, key in missing.items() if key} == {"preprocess": "archive", "infer": "inbox"}
    assert set(complete.values()) == {None}


@pytest.mark.parametrize(
    ("serve_settings", "sentence"),
    [
        ({"retrain_cron": "61 3 * * 0"}, "serve.retrain_cron must be a cron expression .* got '61 3"),
        ({"timezone": "Mars"}, "serve.timezone must be a name .* got 'Mars'"),
    ],
)
def test_a_schedule_that_can_not_be_read_is_named(serve_settings, sentence):
    with pytest.raises(ConfigError, match=sentence):
        scheduled(Config(serve=serve_settings))


def test_a_schedule_is_a_cron_or_an_interval():
    with pytest.raises(ValueError, match="either a cron or an interval"):
        Schedule(slug="both", cron="0 1 * * *", interval=60)
