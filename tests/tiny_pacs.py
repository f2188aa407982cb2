"""A tiny PACS with faults to order, and short delays before it is asked again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lidcflow.pacs import retry
from tests.dicomweb_server import DicomwebServer, dicomweb_server


@pytest.fixture(scope="session")
def tiny_server() -> Iterator[DicomwebServer]:
    """Run one tiny PACS for all tests that ask for it."""
    with dicomweb_server() as server:
        yield server


@pytest.fixture
def tiny(tiny_server: DicomwebServer, short_delays: None) -> DicomwebServer:
    """Return a tiny PACS that holds nothing, and a clean page."""
    tiny_server.instances.clear()
    tiny_server.requests.clear()
    tiny_server.authorizations.clear()
    tiny_server.page = 100
    tiny_server.timeout_s = 20.0
    return tiny_server


@pytest.fixture
def short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for milliseconds before a PACS is asked again."""
    monkeypatch.setattr(retry, "FIRST_DELAY_S", 0.01)
