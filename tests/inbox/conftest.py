import pytest

from lidcflow.inbox.ledger import Ledger
from lidcflow.pacs import retry
from tests.dicomweb_server import dicomweb_server


@pytest.fixture
def ledger(catalog_url):
    with Ledger(catalog_url) as ledger:
        yield ledger


@pytest.fixture(autouse=True)
def short_delays(monkeypatch):
    monkeypatch.setattr(retry, "FIRST_DELAY_S", 0.01)


@pytest.fixture
def tiny():
    with dicomweb_server() as server:
        yield server
