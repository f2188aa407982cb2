import json
from dataclasses import replace
from datetime import date

import pydicom
import pytest

from lidcflow.errors import PacsError
from lidcflow.pacs.feed import Position, read_feed
from tests.dicomweb_server import JSON, Answer, every

TODAY = date(2026, 1, 10)


def study_of(folder):
    return str(pydicom.dcmread(next(folder.iterdir())).StudyInstanceUID)


def series_of(folder):
    return str(pydicom.dcmread(next(folder.iterdir())).SeriesInstanceUID)


def test_a_study_that_becomes_stable_is_told_once(ct_series, tmp_path, pacs):
    folder = ct_series(tmp_path / "ct", n=2)
    pacs.send(folder)
    pacs.wait_until_stable(1)

    with pacs.connect() as connection:
        (change,), reached = read_feed(connection, Position(), TODAY)
        again, still = read_feed(connection, reached, TODAY)

    assert (change.study_instance_uid, change.series_instance_uids) == (study_of(folder), (series_of(folder),))
    assert change.stable
    assert (again, still) == ([], reached)


def test_a_study_that_grows_becomes_stable_again_and_one_that_was_deleted_is_left_out(ct_series, tmp_path, pacs):
    grown = ct_series(tmp_path / "grown", n=2)
    deleted = pacs.send(ct_series(tmp_path / "deleted", n=2))
    pacs.send(grown)
    pacs.wait_until_stable(2)
    with pacs.connect() as connection:
        first, reached = read_feed(connection, Position(), TODAY)

        pacs.delete("studies", deleted)
        ct_series(tmp_path / "grown", n=3)
        pacs.send(grown)
        pacs.wait_until_stable(2)
        second, _ = read_feed(connection, reached, TODAY)
        from_the_start, _ = read_feed(connection, Position(), TODAY)

    assert {change.study_instance_uid for change in first} == {study_of(grown), deleted}
    assert [change.study_instance_uid for change in second] == [study_of(grown)]
    assert [change.study_instance_uid for change in from_the_start] == [study_of(grown)]


def test_a_feed_that_counts_from_one_again_is_read_from_its_start(ct_series, tmp_path, pacs):
    pacs.send(ct_series(tmp_path / "ct", n=2))
    pacs.wait_until_stable(1)

    with pacs.connect() as connection:
        changes, reached = read_feed(connection, Position(sequence=10**6), TODAY)

    assert len(changes) == 1
    assert 0 < reached.sequence < 10**6


def test_a_pacs_without_a_feed_is_polled_for_studies_that_grew(ct_series, tmp_path, pacs):
    for name, day in (("new", "20260109"), ("old", "20250101")):
        pacs.send(ct_series(tmp_path / name, n=2, StudyDate=day))
    pacs.send(ct_series(tmp_path / "mr", n=2, StudyDate="20260109", Modality="MR"))
    with pacs.connect(changes=None) as connection:
        first, reached = read_feed(connection, Position(), TODAY)
        nothing, _ = read_feed(connection, reached, TODAY)
        pacs.send(ct_series(tmp_path / "new", n=3, StudyDate="20260109"))
        grown, last = read_feed(connection, reached, TODAY)

    new = study_of(tmp_path / "new")
    assert [change.study_instance_uid for change in first] == [new]
    assert not first[0].stable
    assert nothing == []
    assert [change.study_instance_uid for change in grown] == [new]
    assert last.seen == {new: 3}


def test_instances_are_counted_where_a_pacs_does_not_tell_how_many_there_are(ct_series, tmp_path, tiny):
    tiny.hold(ct_series(tmp_path / "ct", n=3, StudyDate="20260109"))

    def untold(asked, answer):
        return replace(answer, body=answer.body.replace(b"00201208", b"00201200"))

    with tiny.faulty(untold), tiny.connect() as connection:
        (change,), reached = read_feed(connection, Position(), TODAY)

    assert reached.seen == {change.study_instance_uid: 3}


def test_a_position_survives_as_json():
    position = Position(sequence=3, seen={"1.2": 4})

    assert Position.model_validate_json(position.model_dump_json()) == position


def test_a_pacs_that_is_away_moves_no_position(tiny):
    with tiny.faulty(every(1, 503)), tiny.connect(retries=0) as connection, pytest.raises(PacsError):
        read_feed(connection, Position(), TODAY)


def test_a_feed_without_end_is_read_on_in_the_next_round(tiny, monkeypatch):
    monkeypatch.setattr("lidcflow.pacs.feed.MOST_PAGES", 5)
    numbers = iter(range(1, 10**6))

    def more(asked, answer):
        if "changes" not in asked:
            return answer
        return Answer(body=json.dumps({"Changes": [], "Done": False, "Last": next(numbers)}).encode())

    with tiny.faulty(more), tiny.connect(changes=f"{tiny.url}/changes") as pacs:
        changes, reached = read_feed(pacs, Position(), None)

    assert (changes, reached.sequence) == ([], 6)


@pytest.mark.parametrize("last", ["1e9", "-1", "9" * 30, '"7"', "null"])
def test_a_feed_whose_number_is_none_is_told(tiny, last):
    page = Answer(body=f'{{"Last": {last}}}'.encode(), content_type=JSON)

    with (
        tiny.faulty(lambda *_: page),
        tiny.connect(changes=f"{tiny.url}/changes") as pacs,
        pytest.raises(Exception, match="changes must be Orthanc's feed"),
    ):
        read_feed(pacs, Position(), None)
