"""Fixtures of the store: tiny volumes, and a store of each kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from lidcflow.objects import bucket_of
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.series.find import index_folder
from lidcflow.store.volumes import VolumeStore
from lidcflow.volume.reduce import reduce_series
from tests.store.examples import SMALL, URL


@pytest.fixture(scope="session")
def series(ct_series, tmp_path_factory):
    """Return a usable series, 1.2.3."""
    folder = ct_series(tmp_path_factory.mktemp("source"), series_uid="1.2.3", patient_id="Lovelace", n=12, size=32)
    return index_folder(folder, secret=PUBLIC_KEY).usable[0]


@pytest.fixture(scope="session")
def volume(series):
    """Return its volume."""
    return reduce_series(series, SMALL)


@pytest.fixture
def folder_store(tmp_path):
    """Return an empty store in a folder."""
    return VolumeStore(str(tmp_path / "store"), SMALL)


@pytest.fixture
def bucket_store(objects):
    """Return an empty store in a bucket."""
    return VolumeStore(URL, SMALL, access=objects.access)


@pytest.fixture(params=["folder", "bucket"])
def store(request):
    """Return an empty store, of each kind in turn."""
    return request.getfixturevalue(f"{request.param}_store")


@pytest.fixture
def contents(objects):
    """Return a function that returns what a store consists of, by key."""
    return lambda store: _objects(objects) if store.root == URL else _files(Path(store.root))


def _files(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def _objects(objects) -> dict[str, bytes]:
    bucket, prefix = bucket_of(URL, objects.access), URL.removeprefix("s3://bucket/")
    keys = [found["path"] for found in bucket.list(prefix).collect()]
    return {key.removeprefix(f"{prefix}/"): bytes(bucket.get(key).bytes()) for key in keys}


@pytest.fixture
def bucket(objects):
    return bucket_of(URL, objects.access)
