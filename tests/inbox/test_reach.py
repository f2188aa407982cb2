"""Who is away is found out once a round, and whether images are where an answer goes."""

import time

import pytest

from lidcflow.config import Access
from lidcflow.errors import PacsError, PacsUnavailable
from lidcflow.inbox.reach import PacsAvailability
from lidcflow.inbox.targets import FolderTarget, parse_target
from lidcflow.source.places import parse_source
from tests.dicomweb_server import every, raw_server

pytestmark = pytest.mark.usefixtures("short_delays")


def test_a_service_that_hangs_is_found_out_once(tiny):
    connections = []

    def hang(connection):
        connections.append(connection)
        time.sleep(10)

    with raw_server(hang) as url:
        reach = PacsAvailability()
        access = Access(pacs={"hung": tiny.config.model_copy(update={"url": url, "timeout_s": 0.3})})
        sentences = [reach.why_away(parse_source("pacs:hung", access)) for _ in range(5)]

    assert len(connections) == 2
    assert set(sentences) == set(reach.sentences)
    assert "pacs hung: the PACS must answer, got nothing for 0.3 s" in sentences[0]


@pytest.mark.parametrize("status", [200, 404, 400, 501])
def test_a_service_that_answers_anything_is_there(tiny, status):
    fault = every(1, status) if status != 200 else lambda _, answer: answer

    with tiny.faulty(fault):
        assert PacsAvailability().why_away(parse_source("pacs:tiny", tiny.access)) is None


def test_folders_are_never_away_and_a_pacs_that_was_lost_stays_so(tiny):
    reach, folder, pacs = PacsAvailability(), FolderTarget("/out"), parse_source("pacs:tiny", tiny.access)
    reach.lose(folder, PacsError("no PACS"))
    before = reach.is_known_away(pacs)

    reach.lose(parse_target("pacs:tiny", tiny.access), PacsUnavailable("pacs tiny: lost"))

    assert (before, reach.why_away(folder), reach.is_known_away(folder)) == (False, None, False)
    assert reach.is_known_away(pacs)
    assert reach.sentences == ["pacs tiny: lost"]
