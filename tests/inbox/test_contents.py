"""The same images with other content are answered anew, and those with the same content are not."""

from dataclasses import replace

from lidcflow.inbox.contents import refusal_content
from lidcflow.inbox.delivery import Sighting, Step

ONE = Sighting("1.1", "1", "a", 10, "state 1")
CHANGED = replace(ONE, state="state 2")


def settled(ledger, sighting, source="folder"):
    """See a series and let it settle; return what waits then."""
    ledger.see(source, [sighting], release=1)
    ledger.settle(source, 0)
    return ledger.waiting(source)


def answered(ledger, sighting=ONE, digest="volume 1", source="folder"):
    (delivery,) = settled(ledger, sighting, source)
    ledger.advance(delivery, Step.DELIVERED, volume_digest=digest)
    return delivery


def test_what_is_seen_in_the_same_state_is_known(ledger):
    answered(ledger)

    assert settled(ledger, ONE) == []


def test_an_answer_stands_where_other_files_hold_the_same_volume(ledger):
    answered(ledger)
    when = ledger.last_delivered()

    (again,) = settled(ledger, CHANGED)

    assert ledger.confirm(again, "volume 1")
    assert [(row.step, row.delivered) for row in ledger.rows()] == [(Step.DELIVERED, when)]
    assert settled(ledger, CHANGED) == []


def test_another_volume_of_the_same_images_is_answered_anew(ledger):
    answered(ledger)

    (again,) = settled(ledger, CHANGED)

    assert not ledger.confirm(again, "volume 2")
    assert again.step == Step.SETTLED
    ledger.advance(again, Step.DELIVERED, volume_digest="volume 2")
    assert settled(ledger, CHANGED) == []
    (back,) = settled(ledger, ONE)
    assert not ledger.confirm(back, "volume 1")


def test_a_refusal_stands_while_it_is_the_same(ledger):
    (delivery,) = settled(ledger, ONE)
    ledger.refuse(delivery, "truncated", "series 1.1: cut short")

    (again,) = settled(ledger, CHANGED)

    assert not ledger.confirm(again, "volume 1")
    assert ledger.confirm(again, refusal_content("truncated", "series 1.1: cut short"))
    (row,) = ledger.rows()
    assert (row.step, row.reason, row.sentence) == (Step.REFUSED, "truncated", "series 1.1: cut short")


def test_a_copy_in_another_source_is_looked_at_once(ledger):
    answered(ledger)

    (copy,) = settled(ledger, CHANGED, "other folder")

    assert ledger.confirm(copy, "volume 1")
    assert settled(ledger, CHANGED, "other folder") == settled(ledger, ONE) == []


def test_a_source_that_can_not_tell_leaves_an_answer_alone(ledger):
    answered(ledger)

    assert settled(ledger, replace(ONE, state=""), "pacs") == []


def test_what_an_older_version_answered_is_known_as_it_is_now(ledger):
    (delivery,) = settled(ledger, replace(ONE, state=""))
    ledger.advance(delivery, Step.DELIVERED)

    assert settled(ledger, ONE) == []
    assert len(settled(ledger, CHANGED)) == 1


def test_what_changes_before_its_answer_waits_until_it_has_settled_again(ledger):
    (delivery,) = settled(ledger, ONE)
    ledger.advance(delivery, Step.PREPROCESSED)

    ledger.see("folder", [CHANGED], release=1)

    assert [row.step for row in ledger.rows()] == [Step.SEEN]


def test_what_is_asked_for_again_is_answered_whatever_it_holds(ledger):
    answered(ledger)

    ledger.retry(answered=True)

    (again,) = ledger.waiting("folder")
    assert not ledger.confirm(again, "volume 1")


def test_nothing_is_left_of_a_series_that_is_deleted(ledger):
    answered(ledger)

    assert ledger.delete(["1.1"]) == 1

    (fresh,) = settled(ledger, CHANGED)
    assert not ledger.confirm(fresh, "volume 1")
