"""What a PACS has."""

import json

import pytest
from pydicom.uid import generate_uid

from lidcflow.errors import PacsError
from lidcflow.pacs import query
from lidcflow.pacs.query import instance_uids
from tests.dicomweb_server import Answer
from tests.pacs.asking import series_of


def test_series_of_the_wanted_modality_are_found_page_by_page(ct_series, tmp_path, tiny):
    for number in range(5):
        tiny.hold(ct_series(tmp_path / str(number), n=1, Modality="MR" if number == 4 else "CT"))
    tiny.page = 2

    found = series_of(tiny)

    assert [one.n_instances for one in found] == [1, 1, 1, 1]
    assert len(tiny.requests) == 2


def test_a_server_that_ignores_what_was_asked_for_is_not_asked_for_ever(ct_series, tmp_path, tiny):
    for name in ("a", "b"):
        tiny.hold(ct_series(tmp_path / name, n=1))
    tiny.hold(ct_series(tmp_path / "mr", n=1, Modality="MR"))
    everything = tiny.answer("GET", "/dicom-web/series", b"")

    with tiny.faulty(lambda *_: Answer(body=everything.body, headers={"Warning": "299 more"})):
        found = series_of(tiny)

    assert len(found) == 2


def test_the_instances_of_a_series_are_a_set_of_uids(ct_series, tmp_path, tiny):
    tiny.hold(ct_series(tmp_path / "ct", n=3))
    (series,) = series_of(tiny)

    with tiny.connect() as pacs:
        uids = instance_uids(pacs, series.study_instance_uid, series.series_instance_uid)
        assert instance_uids(pacs, series.study_instance_uid, generate_uid()) == frozenset()

    assert uids == set(tiny.instances)


@pytest.mark.parametrize("number", ["1e400", "-5", "NaN", "9" * 4000, '"many"', "null"])
def test_a_number_of_instances_that_is_none_harms_nothing(ct_series, tmp_path, tiny, number):
    tiny.hold(ct_series(tmp_path / "ct", n=2))
    body = tiny.answer("GET", "/dicom-web/series", b"").body.replace(b'"Value": [2]', f'"Value": [{number}]'.encode())

    with tiny.faulty(lambda *_: Answer(body=body)):
        assert len(series_of(tiny)) == 1


def test_a_service_that_has_always_more_to_give_is_told(tiny, monkeypatch):
    monkeypatch.setattr(query, "MOST_RESULTS", 50)
    numbers = iter(range(1, 10**6))

    def more(_asked, _answer):
        items = [{"00080018": {"vr": "UI", "Value": [f"1.{next(numbers)}"]}} for _ in range(10)]
        return Answer(body=json.dumps(items).encode(), headers={"Warning": "299 more"})

    with tiny.faulty(more), tiny.connect() as pacs, pytest.raises(PacsError, match="more than 50 results of one query"):
        instance_uids(pacs, "1.2", "1.3")
