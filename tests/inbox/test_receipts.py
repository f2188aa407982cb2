"""What each target has of a delivery, also in catalogs that were made before receipts were kept."""

from lidcflow.inbox.delivery import Sighting, Step
from lidcflow.inbox.ledger import Ledger
from tests.databases import UNMIGRATED, execute

ONE, OTHER = Sighting("1.1", "1", "a", 10), Sighting("2.1", "2", "b", 10)


def seen(ledger, *sightings):
    ledger.see("pacs", sightings, release=1)
    return ledger.rows()


def test_what_a_target_took_is_kept_and_what_it_lacks_is_owed(ledger):
    one, other = seen(ledger, ONE, OTHER)

    ledger.receipts.add(one.id, "pacs:main", ["1.9"])
    ledger.receipts.owe(one.id, "/out")
    ledger.receipts.owe(other.id, "/out")

    assert ledger.owed() == {"/out": 2}
    main, out = sorted(ledger.receipts.of([one.id])[one.id], key=lambda receipt: receipt.target, reverse=True)
    assert (main.target, main.documents, main.sent is None) == ("pacs:main", ("1.9",), False)
    assert (out.target, out.documents, out.sent) == ("/out", (), None)


def test_what_is_owed_ends_with_its_delivery(ledger):
    (one,) = seen(ledger, ONE)
    ledger.receipts.owe(one.id, "/out")

    ledger.refuse(one, "gone", "")

    assert ledger.owed() == {}


def test_a_receipt_takes_the_place_of_a_debt(ledger):
    (one,) = seen(ledger, ONE)
    ledger.receipts.owe(one.id, "/out")

    ledger.receipts.add(one.id, "/out", ["1.9", "1.8"])

    assert ledger.owed() == {}
    assert [receipt.documents for receipt in ledger.receipts.of([one.id])[one.id]] == [("1.9", "1.8")]


def test_what_a_killed_round_may_have_sent_is_known(ledger):
    (one,) = seen(ledger, ONE)

    ledger.receipts.owe(one.id, "pacs:main", ["1.9"])
    ledger.receipts.owe(one.id, "pacs:main")

    (receipt,) = ledger.receipts.of([one.id])[one.id]
    assert (receipt.documents, receipt.sent, ledger.owed()) == (("1.9",), None, {"pacs:main": 1})


def test_waiting_for_a_target_counts_no_attempt_and_undoes_no_answer(ledger):
    one, other = seen(ledger, ONE, OTHER)
    ledger.settle("pacs", 0)
    ledger.advance(other, Step.DELIVERED)

    ledger.defer(one, "pacs", "away")
    ledger.defer(other, "pacs", "away")

    assert [(row.step, row.attempts, row.next_try) for row in ledger.rows()] == [
        (Step.FAILED, 0, None),
        (Step.DELIVERED, 0, None),
    ]
    assert [row.id for row in ledger.waiting("pacs")] == [one.id]


def test_what_is_read_again_on_demand_or_after_it_was_gone_is_sent_to_every_target_again(ledger):
    one, other = seen(ledger, ONE, OTHER)
    for row in (one, other):
        ledger.receipts.add(row.id, "pacs:main", ["1.9"])
    ledger.advance(one, Step.DELIVERED)
    ledger.refuse(other, "gone", "")

    ledger.retry(["1.1"], answered=True)
    ledger.see("pacs", [OTHER], release=1)

    assert ledger.receipts.of([one.id, other.id]) == {}


def test_what_failed_is_tried_again_without_what_its_targets_have(ledger):
    (one,) = seen(ledger, ONE)
    ledger.receipts.add(one.id, "pacs:main", ["1.9"])
    ledger.defer(one, "pacs", "away")

    ledger.retry()

    assert list(ledger.receipts.of([one.id])) == [one.id]


def test_the_receipts_of_erased_series_are_deleted(ledger):
    one, other = seen(ledger, ONE, OTHER)
    for row in (one, other):
        ledger.receipts.add(row.id, "pacs:main", ["1.9"])

    ledger.delete(["1.1"])

    assert list(ledger.receipts.of([one.id, other.id])) == [other.id]


def test_a_catalog_from_before_receipts_goes_on(catalog_url):
    with Ledger(catalog_url) as before:
        (one,) = seen(before, ONE)
    execute(catalog_url, UNMIGRATED, "DROP TABLE receipts")

    with Ledger(catalog_url) as ledger:
        assert (ledger.owed(), ledger.receipts.of([one.id]), len(ledger.rows())) == ({}, {}, 1)
        ledger.receipts.owe(one.id, "pacs:main")
        assert ledger.owed() == {"pacs:main": 1}
