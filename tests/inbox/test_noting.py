"""What the ledger notes of a source: series that are new, known, or in another state."""

from lidcflow.inbox.delivery import RetryPolicy, Step
from tests.inbox.seen import GROWN, ONE, OTHER_STUDY, settled


def test_what_is_seen_again_is_not_new(ledger):
    first = ledger.see("pacs", [ONE, OTHER_STUDY], release=1)

    again = ledger.see("pacs", [ONE, OTHER_STUDY], release=2)

    assert (first, again) == (2, 0)


def test_a_series_is_known_to_all_sources(ledger):
    ledger.see("pacs", [ONE], release=1)

    assert ledger.see("folder", [ONE], release=1) == 0


def test_a_series_that_grows_is_read_with_all_its_images(ledger):
    settled(ledger, ONE)

    ledger.see("pacs", [GROWN], release=1)

    assert ledger.counts() == {Step.SEEN: 1, Step.SUPERSEDED: 1}
    assert ledger.rows([Step.SEEN])[0].instances == "b"


def test_a_series_that_grows_after_its_answer_gets_another(ledger):
    (delivery,) = settled(ledger, ONE)
    ledger.advance(delivery, Step.DELIVERED)

    assert ledger.see("pacs", [GROWN], release=1) == 1
    assert ledger.counts() == {Step.DELIVERED: 1, Step.SEEN: 1}


def test_an_instance_set_that_comes_back_unanswered_is_new_again(ledger):
    ledger.see("pacs", [ONE], release=1)
    ledger.see("pacs", [GROWN], release=1)

    assert ledger.see("pacs", [ONE], release=1) == 1
    assert [(row.instances, row.step) for row in ledger.rows()] == [("b", Step.SUPERSEDED), ("a", Step.SEEN)]


def test_what_came_to_nothing_because_it_was_gone_is_new_when_it_is_back(ledger):
    (delivery,) = settled(ledger, ONE)
    ledger.refuse(delivery, "gone", "series 1.1: gone")

    assert ledger.see("pacs", [ONE], release=1) == 1
    assert [(row.step, row.reason) for row in ledger.rows()] == [(Step.SEEN, "")]


def test_what_is_dead_is_superseded_when_its_study_grows(ledger):
    (delivery,) = settled(ledger, ONE)
    ledger.fail(delivery, "pacs", "pacs: no answer", RetryPolicy(attempts=1))

    ledger.see("pacs", [GROWN], release=1)

    assert ledger.retry() == 0
    assert ledger.counts() == {Step.SEEN: 1, Step.SUPERSEDED: 1}
