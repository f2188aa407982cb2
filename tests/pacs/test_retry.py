"""When a request is repeated."""

import time

import pytest

from lidcflow.config.service import PacsConfig
from lidcflow.errors import PacsError, SourceError
from lidcflow.pacs import retry
from lidcflow.pacs.address import PacsService
from lidcflow.pacs.client import NotFound
from tests.dicomweb_server import Answer, cut, every, first, hanging
from tests.pacs.asking import redirect, series_of

pytestmark = pytest.mark.usefixtures("short_delays")


@pytest.mark.parametrize(
    "fault",
    [
        every(2, 503),
        first(2, lambda *_: Answer(500)),
        first(1, lambda *_: Answer(429, headers={"Retry-After": "0"})),
        first(2, cut(5, told=True)),
        first(2, cut(5, told=False)),
    ],
    ids=["every second 503", "500s", "429", "cut short", "cut short unnoticed by HTTP"],
)
def test_what_passes_is_asked_for_again(ct_series, tmp_path, tiny, fault):
    tiny.hold(ct_series(tmp_path / "ct", n=2))

    with tiny.faulty(fault):
        found = series_of(tiny)

    assert [one.n_instances for one in found] == [2]


@pytest.mark.parametrize(
    ("fault", "error", "sentence"),
    [
        (every(1, 503), PacsError, "pacs tiny: the PACS must answer, got status 503; check the network"),
        (cut(5, told=True), PacsError, "got an answer that broke off"),
        (cut(5, told=False), PacsError, "got JSON that is cut short"),
        (every(1, 401), PacsError, "must grant access, got status 401; set PACS_NAME_USER"),
        (every(1, 404), NotFound, "must hold what is asked for, got status 404; check its URL"),
        (every(1, 400), SourceError, "must be a DICOMweb service, got status 400"),
        (lambda *_: Answer(body=b"<html>", content_type="text/html"), SourceError, "an answer that is no JSON"),
        (lambda *_: Answer(body=b'{"a": 1}'), SourceError, "must answer in the DICOM JSON model"),
        (redirect("http://elsewhere.invalid/"), SourceError, "must answer by itself, got a redirect elsewhere"),
        (redirect("/dicom-web/series"), PacsError, "redirects without end"),
    ],
)
def test_a_service_that_fails_is_told_in_one_sentence(tiny, fault, error, sentence):
    with tiny.faulty(fault), pytest.raises(error, match=sentence):
        series_of(tiny, retries=1)


def test_an_answer_that_takes_too_long_is_asked_for_again(ct_series, tmp_path, tiny):
    tiny.hold(ct_series(tmp_path / "ct", n=2))

    with tiny.faulty(first(1, hanging(2))):
        assert len(series_of(tiny, timeout_s=1)) == 1


def test_a_service_that_hangs_is_told_in_one_sentence(tiny):
    with tiny.faulty(hanging(1)), pytest.raises(PacsError, match=r"the PACS must answer, got nothing for 0\.1 s"):
        series_of(tiny, timeout_s=0.1, retries=1)


def test_delays_grow_and_what_the_service_asks_for_is_kept_to(monkeypatch):
    waited = []
    monkeypatch.setattr(time, "sleep", waited.append)
    patient = retry.FailureCount(PacsService("", PacsConfig(url="http://pacs", retries=4)))

    for wait_s in (0.0, 0.0, 7.0, 1e6):
        patient.wait(retry.Passing("status 503", wait_s))

    assert waited == [0.01, 0.02, 7.0, 30.0]
