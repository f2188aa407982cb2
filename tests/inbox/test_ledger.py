from datetime import timedelta

import pytest

from lidcflow.catalog.series import Catalog
from lidcflow.inbox.delivery import RetryPolicy, Step
from lidcflow.inbox.ledger import Ledger
from tests.databases import UNMIGRATED, execute
from tests.inbox.seen import GROWN, NOON, ONE, OTHER_OF_STUDY, OTHER_STUDY, settled

PATIENCE = RetryPolicy(attempts=3, first_s=30, longest_s=45)


def after(seconds):
    return NOON + timedelta(seconds=seconds)


def test_a_study_settles_when_nothing_new_was_seen_for_a_while(ledger):
    ledger.see("pacs", [ONE, OTHER_STUDY], release=1, now=NOON)
    ledger.see("pacs", [OTHER_OF_STUDY], release=1, now=after(50))

    assert ledger.settle("pacs", 60, now=after(70)) == 1
    assert [row.series_instance_uid for row in ledger.rows([Step.SETTLED])] == ["2.1"]
    assert ledger.settle("pacs", 60, now=after(110)) == 2


@pytest.mark.parametrize("step", [Step.SETTLED, Step.PREPROCESSED, Step.SCORED])
def test_what_was_under_way_waits_for_the_next_run(ledger, step):
    (delivery,) = settled(ledger, ONE)

    ledger.advance(delivery, step)

    assert [one.step for one in ledger.waiting("pacs")] == [step]


def test_a_localizer_is_passed_over_and_is_no_answer(ledger):
    (delivery,) = settled(ledger, ONE)

    ledger.refuse(delivery, "localizer", "series 1.1: a localizer")

    assert ledger.counts() == {Step.PASSED_OVER: 1}
    assert (ledger.waiting("pacs"), ledger.last_delivered()) == ([], None)


def test_a_catalog_that_was_made_before_there_was_a_ledger_gets_one(catalog_url):
    Catalog(catalog_url).close()
    tables = ("delivery_states", "delivery_answers", "deliveries", "feeds")
    execute(catalog_url, UNMIGRATED, *(f"DROP TABLE {table}" for table in tables))

    with Ledger(catalog_url) as ledger:
        assert ledger.see("pacs", [ONE], release=1) == 1


def test_what_is_answered_does_not_wait(ledger):
    delivered, refused = settled(ledger, ONE, OTHER_STUDY)

    ledger.advance(delivered, Step.DELIVERED)
    ledger.refuse(refused, "too-few-slices", "series 2.1: too few")

    assert ledger.waiting("pacs") == []
    assert ledger.rows([Step.REFUSED])[0].sentence == "series 2.1: too few"
    assert ledger.last_delivered() is not None


def test_failures_are_tried_again_after_growing_delays_and_then_left(ledger):
    steps, delays_s = [], []
    for _ in range(3):
        (delivery,) = settled(ledger, ONE) if not steps else ledger.waiting("pacs", now=after(1000))
        steps.append(ledger.fail(delivery, "unreachable", "pacs: no answer", PATIENCE, now=NOON))
        (row,) = ledger.rows()
        delays_s.append(row.next_try and (row.next_try - NOON).total_seconds())

    assert steps == [Step.FAILED, Step.FAILED, Step.DEAD]
    assert delays_s == [30, 45, None]
    assert ledger.waiting("pacs", now=after(1000)) == []


def test_a_failure_waits_for_its_time(ledger):
    (delivery,) = settled(ledger, ONE)
    ledger.fail(delivery, "unreachable", "pacs: no answer", PATIENCE, now=NOON)

    assert ledger.waiting("pacs", now=after(29)) == []
    assert len(ledger.waiting("pacs", now=after(30))) == 1


def test_retry_wakes_what_is_dead_and_leaves_what_is_answered(ledger):
    dead, delivered = settled(ledger, ONE, OTHER_STUDY)
    ledger.fail(dead, "unreachable", "pacs: no answer", RetryPolicy(attempts=1))
    ledger.advance(delivered, Step.DELIVERED)

    assert ledger.retry() == 1
    assert [one.series_instance_uid for one in ledger.waiting("pacs")] == ["1.1"]
    assert ledger.retry(["2.1"], answered=True) == 1


def test_the_position_of_a_feed_moves_with_what_was_seen(ledger):
    assert ledger.position("pacs") is None

    ledger.see("pacs", [ONE], release=1, position={"last": 7})

    assert ledger.position("pacs") == {"last": 7}


def test_an_answer_of_another_release_is_that_ones(ledger):
    (delivery,) = settled(ledger, ONE)

    ledger.advance(delivery, Step.SCORED, release=4)

    assert ledger.waiting("pacs")[0].release == 4


def test_the_deliveries_of_erased_series_are_counted_and_deleted(ledger):
    ledger.see("pacs", [ONE, OTHER_STUDY], release=1)
    ledger.see("pacs", [GROWN], release=1)

    assert ledger.delete(["1.1"], only_count=True) == 2
    assert ledger.delete(["1.1"]) == 2
    assert [row.series_instance_uid for row in ledger.rows()] == ["2.1"]


def test_some_deliveries_are_told_as_they_stand_now(ledger):
    first, second, _ = settled(ledger, ONE, OTHER_OF_STUDY, OTHER_STUDY)
    ledger.advance(second, Step.PREPROCESSED)

    found = ledger.again({second.id, first.id, 999})

    assert [(one.id, one.step) for one in found] == [(first.id, Step.SETTLED), (second.id, Step.PREPROCESSED)]
