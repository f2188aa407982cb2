"""Fixtures of these tests."""

import pytest

from lidcflow.catalog.series import Catalog


@pytest.fixture
def catalog(catalog_url):
    with Catalog(catalog_url) as opened:
        yield opened
