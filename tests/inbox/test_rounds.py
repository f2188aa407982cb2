"""What the last rounds came to: equal ones are one row, and the newest come first."""

import pytest

from lidcflow.inbox import rounds as module
from lidcflow.inbox.rounds import Round, Rounds


@pytest.fixture
def rounds(tmp_path):
    with Rounds(f"sqlite:///{tmp_path}/catalog.db") as opened:
        yield opened


def test_rounds_in_a_row_that_failed_alike_are_counted_and_another_outcome_begins_anew(rounds):
    for error in ("no release", "no release", "", "no release"):
        rounds.record(Round(error=error))

    assert [(one.error, one.times) for one in rounds.newest()] == [("no release", 1), ("", 1), ("no release", 2)]


def test_every_round_that_answered_something_has_a_row_of_its_own(rounds):
    for _ in range(2):
        rounds.record(Round(delivered=1))

    assert [one.times for one in rounds.newest()] == [1, 1]


def test_a_row_says_when_its_first_round_began_and_its_last_one_ended(rounds):
    rounds.record(Round(unreachable=("source a: away",)))
    (first,) = rounds.newest()
    rounds.record(Round(unreachable=("source a: away",)))
    (both,) = rounds.newest()

    assert both.began == first.began
    assert both.ended > first.ended
    assert both.unreachable == ("source a: away",)
    assert not both.went_well


def test_old_rounds_go(rounds, monkeypatch):
    monkeypatch.setattr(module, "MOST_ROWS", 3)

    for delivered in range(1, 6):
        rounds.record(Round(delivered=delivered))

    assert [one.delivered for one in rounds.newest(10)] == [5, 4, 3]
