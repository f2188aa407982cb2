import pytest

from lidcflow.inbox.ledger import Ledger


@pytest.fixture
def ledger(catalog_url):
    with Ledger(catalog_url) as ledger:
        yield ledger
