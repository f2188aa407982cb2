"""The poller looks without a run, asks for one only when a series waits, and says what keeps it from looking."""

import pytest

from flows.service import poller
from flows.service.inbox_status import inbox_status, round_faults
from flows.service.poller import ANCHOR, pause_after_failures, poll, seconds_to_next
from lidcflow.catalog.database import utc_now
from lidcflow.catalog.locks import at_work
from lidcflow.config import Config, DeliveryConfig
from lidcflow.inbox.delivery import Step
from lidcflow.inbox.ledger import Ledger
from lidcflow.inbox.rounds import Round, Rounds


@pytest.fixture
def config(released, tmp_path):
    (tmp_path / "in").mkdir()
    own = {
        "workspace": tmp_path / "workspace",
        "inbox": str(tmp_path / "in"),
        "delivery": DeliveryConfig(settle_s=0),
    }
    return released.model_copy(update=own)


@pytest.fixture
def asked(monkeypatch):
    """Count how often a run is asked for; Prefect's side is tests/cluster/test_up.py."""
    calls = []
    monkeypatch.setattr(poller, "request_inbox_run", lambda: calls.append(1))
    return calls


def steps_in(config):
    with Ledger(config.catalog) as ledger:
        return [row.step for row in ledger.rows()]


def rounds_in(config):
    with Rounds(config.catalog) as rounds:
        return rounds.newest()


def test_polls_that_find_nothing_ask_for_no_run_and_are_one_record(config, asked):
    for _ in range(3):
        poll(config, ANCHOR)

    (found,) = rounds_in(config)
    assert asked == []
    assert (found.times, found.went_well) == (3, True)


def test_a_series_that_has_come_is_in_the_ledger_and_gets_a_run_at_once(config, asked, ct_series):
    ct_series(config.workspace.parent / "in" / "a")

    poll(config, ANCHOR)

    assert steps_in(config) == [Step.SETTLED]
    assert asked == [1]


def test_a_study_that_still_arrives_waits_without_a_run(config, asked, ct_series):
    ct_series(config.workspace.parent / "in" / "a")
    patient = config.model_copy(update={"delivery": DeliveryConfig(settle_s=3600)})

    poll(patient, ANCHOR)

    assert steps_in(config) == [Step.SEEN]
    assert asked == []


def test_a_source_that_is_gone_is_told_and_the_others_are_looked_into(config, asked, ct_series, tmp_path):
    ct_series(tmp_path / "other" / "a")
    two = config.model_copy(update={"inbox": (str(tmp_path / "gone"), str(tmp_path / "other"))})

    poll(two, ANCHOR)

    assert asked == [1]
    assert steps_in(two) == [Step.SETTLED]
    poll(config.model_copy(update={"inbox": str(tmp_path / "gone")}), ANCHOR)
    (fault,) = round_faults(inbox_status(config.catalog))
    assert "a source could not be looked into by the last round" in fault


def test_polls_without_a_release_are_told_and_nothing_is_looked_into(config, asked, ct_series):
    ct_series(config.workspace.parent / "in" / "a")
    lost = config.model_copy(update={"infer": config.infer.model_copy(update={"release": "99"})})

    for _ in range(2):
        poll(lost, ANCHOR)

    (fault,) = round_faults(inbox_status(lost.catalog))
    assert "the last 2 rounds failed" in fault
    assert "release 99" in fault
    assert (asked, steps_in(lost)) == ([], [])


def test_a_poll_leaves_a_round_that_is_under_way_alone(config, asked, monkeypatch):
    monkeypatch.setattr("lidcflow.catalog.locks.PATIENCE_S", 0)

    with at_work(config.workspace, "inbox", alone=True):
        poll(config, ANCHOR)

    assert (asked, rounds_in(config)) == ([], [])


def test_rounds_that_fail_as_a_whole_are_begun_less_and_less_often(config):
    pauses = []
    for _ in range(4):
        with Rounds(config.catalog) as rounds:
            rounds.record(Round(error="the disk must have room"))
        pauses.append(pause_after_failures(config, utc_now(), ANCHOR))
    with Rounds(config.catalog) as rounds:
        rounds.record(Round(delivered=1))

    assert pauses == [pytest.approx(pause, abs=5) for pause in (300, 600, 600, 600)]
    assert pause_after_failures(config, utc_now(), ANCHOR) == 0


def test_a_round_that_failed_before_the_start_delays_none(config):
    with Rounds(config.catalog) as rounds:
        rounds.record(Round(error="the process was killed"))

    assert pause_after_failures(config, utc_now(), utc_now()) == 0


def test_a_restart_does_not_shift_the_schedule():
    assert [seconds_to_next(ANCHOR.replace(second=second), 60) for second in (0, 1, 59)] == [60, 59, 1]


def test_a_study_that_arrives_is_polled_again_when_it_may_have_settled(config, asked, ct_series):
    ct_series(config.workspace.parent / "in" / "a")

    again_s = poll(config.model_copy(update={"delivery": DeliveryConfig(settle_s=60)}), ANCHOR)

    assert 50 < again_s <= 60
    assert poll(config, ANCHOR) is None  # nothing has to be quiet any more


def test_a_round_under_way_is_asked_for_again_soon(config, monkeypatch, ct_series):
    monkeypatch.setattr("lidcflow.catalog.locks.PATIENCE_S", 0)
    monkeypatch.setattr(poller, "request_inbox_run", lambda: True)

    with at_work(config.workspace, "inbox", alone=True):
        during = poll(config, ANCHOR)
    ct_series(config.workspace.parent / "in" / "a")

    assert [during, poll(config, ANCHOR)] == [poller.AGAIN_S, poller.AGAIN_S]


def test_the_folders_of_an_inbox_are_watched_and_nothing_else(tmp_path):
    (tmp_path / "list.txt").write_text("a\n")
    inboxes = (str(tmp_path / "in"), "s3://bucket/prefix", "pacs:main", str(tmp_path / "list.txt"))

    assert poller.watched_folders(Config(inbox=inboxes)) == [tmp_path / "in"]
