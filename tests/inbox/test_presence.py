"""What a PACS still holds of what was read."""

from datetime import UTC, datetime

import pydicom

from lidcflow.inbox.delivery import Delivery, Step, instance_set
from lidcflow.inbox.presence import holds_others_of_study, is_held, seen_now, still_held
from tests.dicomweb_server import Answer, every

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def delivery_of(folder, source):
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in sorted(folder.iterdir())]
    uids = [str(header.SOPInstanceUID) for header in headers]
    facts = {"study_instance_uid": headers[0].StudyInstanceUID, "series_instance_uid": headers[0].SeriesInstanceUID}
    steps = {"step": Step.SCORED, "attempts": 0, "next_try": None, "reason": "", "sentence": "", "delivered": None}
    of_set = {"instances": instance_set(uids), "n_instances": len(uids)}
    return Delivery(id=1, source=source, release=1, seen=NOW, updated=NOW, **facts, **of_set, **steps)


def test_what_a_pacs_holds_now_is_compared_with_what_was_read(ct_series, tmp_path, tiny):
    tiny.hold(folder := ct_series(tmp_path / "ct", n=3))
    delivery = delivery_of(folder, "pacs:tiny")

    same = seen_now(delivery, tiny.service)
    tiny.instances.popitem()
    other = seen_now(delivery, tiny.service)
    tiny.instances.clear()
    none = seen_now(delivery, tiny.service)

    assert same.instances == delivery.instances != other.instances
    assert [one.n_instances for one in (same, other, none)] == [3, 2, 0]
    assert seen_now(delivery_of(folder, "/in"), None) is None


def test_a_target_is_asked_for_the_series_and_for_others_of_its_study(ct_series, tmp_path, tiny):
    folder = ct_series(tmp_path / "ct", n=2)
    delivery = delivery_of(folder, "/in")
    nothing = is_held(tiny.service, delivery), holds_others_of_study(tiny.service, delivery)
    tiny.hold(folder)
    there = is_held(tiny.service, delivery), holds_others_of_study(tiny.service, delivery)

    assert (nothing, there) == ((False, False), (True, False))
    assert is_held(None, delivery) is None


def test_a_service_that_answers_no_queries_or_goes_away_after_a_delivery_lost_nothing(ct_series, tmp_path, tiny):
    delivery = delivery_of(ct_series(tmp_path / "ct", n=2), "/in")

    with tiny.faulty(lambda *_: Answer(501)):
        assert is_held(tiny.service, delivery) is None
    with tiny.faulty(every(1, 503)):
        assert still_held(tiny.service, delivery)
    assert not still_held(tiny.service, delivery)
