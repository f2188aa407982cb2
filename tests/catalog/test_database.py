"""The catalog's database: what can't be opened is one sentence."""

import pytest

from lidcflow.catalog.series import Catalog
from lidcflow.errors import StoreError


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("catalog.db", "must be a SQLAlchemy URL"),
        ("postgresql+nodriver://localhost/lidcflow", "must be a SQLAlchemy URL"),
        ("postgresql+psycopg2://localhost/lidcflow", r"got no module 'psycopg2'; pip install 'lidcflow\[postgres\]'"),
        ("sqlite:////proc/none/catalog.db", "must be writable"),
    ],
)
def test_a_catalog_url_that_leads_nowhere_ends_in_one_sentence(url, sentence):
    with pytest.raises(StoreError, match=sentence):
        Catalog(url)


def test_a_file_that_is_no_database_ends_in_one_sentence(tmp_path):
    file = tmp_path / "catalog.db"
    file.write_text("not a database" * 100)

    with pytest.raises(StoreError, match=r"got 'file is not a database'; check catalog_url"):
        Catalog(f"sqlite:///{file}")


def test_a_password_stays_out_of_the_sentence():
    with pytest.raises(StoreError) as raised:
        Catalog("postgresql://lidcflow:secret@127.0.0.1:9/lidcflow")

    assert "secret" not in str(raised.value)
