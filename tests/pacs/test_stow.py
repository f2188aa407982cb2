import json

import pydicom
import pytest

from lidcflow.errors import PacsError
from lidcflow.pacs import patience, stow
from lidcflow.pacs.query import instance_uids
from lidcflow.pacs.stow import store
from tests.dicomweb_server import Answer, every, first


def contents_of(folder):
    return [path.read_bytes() for path in sorted(folder.iterdir())]


def uids_of(folder):
    return {str(pydicom.dcmread(path).SOPInstanceUID) for path in folder.iterdir()}


def test_instances_that_are_sent_are_held_by_a_real_pacs(ct_series, tmp_path, pacs):
    folder = ct_series(tmp_path / "ct", n=3)
    header = pydicom.dcmread(folder / "000001.dcm")

    with pacs.connect() as connection:
        done = store(connection, contents_of(folder))
        held = instance_uids(connection, header.StudyInstanceUID, header.SeriesInstanceUID)

    assert (done.stored, done.failed) == (uids_of(folder), {})
    assert held == uids_of(folder)


def test_an_instance_that_is_sent_twice_is_held_once(ct_series, tmp_path, pacs):
    contents = contents_of(ct_series(tmp_path / "ct", n=1))

    with pacs.connect() as connection:
        done = [store(connection, contents) for _ in range(2)]

    assert done[0] == done[1]
    assert len(pacs.ask("GET", "/instances")) == 1


def test_what_is_no_instance_is_refused_by_a_real_pacs(pacs):
    with pacs.connect() as connection, pytest.raises(PacsError, match="must take what is sent to it, got status 400"):
        store(connection, [b"no instance at all"])


def test_failures_are_told_by_instance(ct_series, tmp_path, tiny):
    item = {"00081155": {"vr": "UI", "Value": ["1.2.3"]}, "00081197": {"vr": "US", "Value": [0xA700]}}
    answer = Answer(409, json.dumps({"00081198": {"vr": "SQ", "Value": [item]}}).encode())

    with tiny.faulty(lambda *_: answer), tiny.connect() as connection:
        done = store(connection, contents_of(ct_series(tmp_path / "ct", n=1)))

    assert (done.stored, done.failed) == (frozenset(), {"1.2.3": 0xA700})


def test_what_is_too_much_for_one_request_is_sent_in_several(ct_series, tmp_path, tiny, monkeypatch):
    folder = ct_series(tmp_path / "ct", n=5)
    monkeypatch.setattr(stow, "BATCH_BYTES", 7000)

    with tiny.connect() as connection:
        done = store(connection, contents_of(folder))

    assert (done.stored, len(tiny.requests)) == (uids_of(folder), 3)


def test_a_delivery_that_fails_is_sent_again(ct_series, tmp_path, tiny, monkeypatch):
    monkeypatch.setattr(patience, "FIRST_DELAY_S", 0.01)
    folder = ct_series(tmp_path / "ct", n=2)

    with tiny.faulty(first(2, every(1, 503))), tiny.connect() as connection:
        done = store(connection, contents_of(folder))

    assert done.stored == uids_of(folder) == set(tiny.instances)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]"])
def test_an_answer_that_does_not_say_what_became_of_the_instances_is_no_success(ct_series, tmp_path, tiny, body):
    contents = contents_of(ct_series(tmp_path / "ct", n=1))

    with (
        tiny.faulty(lambda *_: Answer(body=body)),
        tiny.connect() as connection,
        pytest.raises(PacsError, match="must say what became of 1 instances, got status 200"),
    ):
        store(connection, contents)
