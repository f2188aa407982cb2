"""Series leave the cache of headers, down to the bytes on the disk."""

import sqlite3
from contextlib import closing

import pytest

from lidcflow.config import Config
from lidcflow.errors import StoreError
from lidcflow.headers.forget import cached_series, forget_series
from lidcflow.privacy import PUBLIC_KEY, hash_patient_id
from lidcflow.source.places import parse_source
from tasks.source import find_series


@pytest.fixture
def cache(ct_series, tmp_path):
    """The cache of an index of two series."""
    ct_series(tmp_path / "ct" / "a", patient_id="Ada", series_uid="1.2.3", n=9)
    ct_series(tmp_path / "ct" / "b", patient_id="Grace", series_uid="1.2.4", n=8)
    find_series(parse_source(str(tmp_path / "ct")), Config(workspace=tmp_path / "ws", patient_key="public"))
    return tmp_path / "ws" / "headers.db"


def test_the_cache_tells_its_series_with_their_patients(cache):
    found = {uid: key for uid, _, key in cached_series(cache)}

    assert found == {"1.2.3": hash_patient_id("Ada", PUBLIC_KEY), "1.2.4": hash_patient_id("Grace", PUBLIC_KEY)}


def test_a_series_that_is_forgotten_leaves_no_byte_and_others_stay(cache):
    counted = forget_series(cache, ["1.2.3"], only_count=True)
    forgotten = forget_series(cache, ["1.2.3"])

    assert (counted, forgotten) == (9, 9)
    assert [uid for uid, _, _ in cached_series(cache)] == ["1.2.4"]
    content = b"".join(file.read_bytes() for file in cache.parent.glob("headers.db*"))
    assert b"1.2.3" not in content
    assert b"1.2.4" in content
    assert forget_series(cache, ["1.2.3"]) == 0


def test_a_cache_of_another_form_is_dropped_and_one_that_is_lacking_is_fine(cache, tmp_path):
    with closing(sqlite3.connect(cache)) as database, database:
        database.execute("UPDATE form SET form = 'older'")
    database.close()

    assert forget_series(cache, ["1.2.3"]) == 0
    assert not cache.exists()
    assert list(cached_series(tmp_path / "no.db")) == []


def test_a_cache_that_is_no_database_is_named_with_the_way_out(tmp_path):
    (tmp_path / "headers.db").write_bytes(b"something else, and long enough to be looked at" * 40)

    with pytest.raises(StoreError, match=r"header cache headers.db: must be readable .* or delete the file"):
        forget_series(tmp_path / "headers.db", ["1.2.3"])
