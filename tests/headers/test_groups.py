from dataclasses import replace

import pytest

from lidcflow.config import Access
from lidcflow.headers import groups
from lidcflow.headers.groups import HeaderGroups
from lidcflow.headers.header import read_headers
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.source.folder import list_folder


@pytest.fixture
def headers(ct_series, tmp_path):
    folder = ct_series(tmp_path / "one", series_uid="1.2.3", n=6, size=16)
    return read_headers(list_folder(folder).files, PUBLIC_KEY, Access())


def of_series(headers, uid):
    return [replace(header, facts=replace(header.facts, series_instance_uid=uid)) for header in headers]


def grouped(*parts):
    taken = HeaderGroups()
    for part in parts:
        taken.add(part)
    return dict(taken)


@pytest.mark.parametrize("held", [0, 3, 100])
def test_headers_come_by_series_as_they_came(headers, monkeypatch, held):
    monkeypatch.setattr(groups, "HELD", held)
    first, second = of_series(headers, "1.9"), of_series(headers, "1.10")

    found = grouped(first[:2], second[:3], first[2:], second[3:])

    assert list(found) == ["1.10", "1.9"]
    assert found == {"1.9": first, "1.10": second}


def test_headers_that_were_set_aside_share_their_facts(headers, monkeypatch):
    monkeypatch.setattr(groups, "HELD", 0)

    (found,) = grouped(headers[:3], headers[3:]).values()

    assert len({id(header.facts) for header in found}) == 1


def test_frames_are_set_aside_with_their_header(headers, monkeypatch):
    monkeypatch.setattr(groups, "HELD", 0)
    frames = tuple(replace(headers[0], frame_number=n, item_bytes=n) for n in (1, 2))
    whole = replace(headers[0], frames=frames, fault="x")

    (found,) = grouped([whole, headers[1]]).values()

    assert found == [whole, headers[1]]


def test_without_headers_there_is_no_series():
    assert not HeaderGroups()
