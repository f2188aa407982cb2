import json

import pydicom
import pytest

from lidcflow.errors import PacsError
from lidcflow.pacs import send
from lidcflow.pacs.query import instance_uids
from lidcflow.pacs.send import store
from tests.dicomweb_server import Answer, every, first
from tests.pacs.contents import contents_of


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


def answered(stored=(), failed=(), status=200):
    """Make a fault: the answer to a delivery names these instances; of failed ones also the reason."""

    def item(uid, **more):
        return {"00081155": {"vr": "UI", "Value": [uid]}, **more}

    refused = [item(uid, **{"00081197": {"vr": "US", "Value": [code]}}) for uid, code in failed]
    body = {"00081199": {"vr": "SQ", "Value": [item(uid) for uid in stored]}}
    body |= {"00081198": {"vr": "SQ", "Value": refused}} if failed else {}
    return lambda *_: Answer(status, json.dumps(body).encode())


def test_failures_are_told_by_instance(ct_series, tmp_path, tiny):
    folder = ct_series(tmp_path / "ct", n=1)
    (uid,) = uids_of(folder)

    with tiny.faulty(answered(failed=[(uid, 0xA700)], status=409)), tiny.connect() as connection:
        done = store(connection, contents_of(folder))

    assert (done.stored, done.failed, done.untold) == (frozenset(), {uid: 0xA700}, frozenset())


def test_what_was_not_sent_does_not_count_as_stored(ct_series, tmp_path, tiny):
    folder = ct_series(tmp_path / "ct", n=2)

    with tiny.faulty(answered(stored=["1.2.3", "1.2.4"], failed=[("1.2.5", 0xA700)])), tiny.connect() as connection:
        done = store(connection, contents_of(folder))

    assert (done.stored, done.failed, done.untold) == (frozenset(), {}, uids_of(folder))


def test_each_instance_counts_by_what_is_said_of_it(ct_series, tmp_path, tiny):
    folder = ct_series(tmp_path / "ct", n=4)
    stored, both, there, untold = sorted(uids_of(folder))
    said = answered(stored=[stored, stored, both], failed=[(both, 0x0110), (there, send.DUPLICATE)], status=202)

    with tiny.faulty(said), tiny.connect() as connection:
        done = store(connection, contents_of(folder))

    assert (done.stored, done.failed, done.untold) == ({stored, there}, {both: 0x0110}, {untold})


def test_a_service_that_answers_in_xml_is_understood(ct_series, tmp_path, tiny):
    folder = ct_series(tmp_path / "ct", n=1)
    (uid,) = uids_of(folder)
    xml = (
        '<?xml version="1.0"?><NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM">'
        '<DicomAttribute tag="00081199" vr="SQ"><Item number="1"><DicomAttribute tag="00081155" vr="UI">'
        f'<Value number="1">{uid}</Value></DicomAttribute></Item></DicomAttribute></NativeDicomModel>'
    )

    with (
        tiny.faulty(lambda *_: Answer(body=xml.encode(), content_type="application/dicom+xml")),
        tiny.connect() as connection,
    ):
        done = store(connection, contents_of(folder))

    assert done.stored == {uid}


def test_what_is_too_much_for_one_request_is_sent_in_several(ct_series, tmp_path, tiny, monkeypatch):
    folder = ct_series(tmp_path / "ct", n=5)
    monkeypatch.setattr(send, "BATCH_BYTES", 7000)

    with tiny.connect() as connection:
        done = store(connection, contents_of(folder))

    assert (done.stored, len(tiny.requests)) == (uids_of(folder), 3)


def test_a_delivery_that_fails_is_sent_again(ct_series, tmp_path, tiny):
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
