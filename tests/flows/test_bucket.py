"""Flows whose store lies in a bucket."""

import pytest

from flows.preprocess import preprocess
from flows.repair import repair
from flows.service.status import status_of
from lidcflow.catalog.series import Catalog, State
from lidcflow.config import ClusterConfig, Config, PreprocessConfig
from lidcflow.errors import ResourceError
from lidcflow.store.volumes import VolumeStore
from tests.object_storage import every


@pytest.fixture
def config(tmp_path, objects):
    return Config(
        workspace=tmp_path / "workspace",
        store="s3://bucket/store",
        preprocess=PreprocessConfig(slices=8, size=16),
        cluster=ClusterConfig(workers=1),
        access=objects.access,
    )


@pytest.fixture
def source(tmp_path, ct_series):
    for name in ("a", "b"):
        ct_series(tmp_path / "source" / name)
    return str(tmp_path / "source")


@pytest.mark.usefixtures("prefect_server")
def test_workers_bring_series_into_a_bucket_that_fails_now_and_then(source, config, objects):
    with objects.faulty(every(5, 503)):
        first, again = preprocess(source, config), preprocess(source, config)

    assert (first.done, again.done, again.reused) == (2, 0, 2)
    assert len(VolumeStore.of(config).series_uids()) == 2
    assert not (config.workspace / "store").exists()
    found = status_of(config)
    assert (found.store.series, found.store.size_bytes, found.problems) == (2, None, [])
    assert repair(config, verify=True).catalog_changed == 0
    with Catalog(config.catalog) as catalog:
        assert catalog.counts() == {State.COMMITTED: 2}


@pytest.mark.usefixtures("prefect_server")
def test_a_bucket_out_of_reach_is_told_before_anything_starts(source, config, objects):
    with objects.faulty(every(1, 503)), pytest.raises(ResourceError, match=r"store s3://bucket/store: .*must answer"):
        preprocess(source, config)

    assert not config.workspace.exists()
