"""Where a store lies."""

from lidcflow.config import Config
from lidcflow.store.locate import is_store
from lidcflow.store.volumes import VolumeStore
from tests.store.examples import SMALL, URL


def test_a_configuration_names_a_bucket(objects, series, volume):
    config = Config(store=URL, inbox_store="s3://bucket/inbox", preprocess=SMALL, access=objects.access)

    VolumeStore.of(config, create=True).write(series, volume)

    assert VolumeStore.of(config).series_uids() == ["1.2.3"]
    assert not is_store(config.inbox_store_root, config.access)


def test_where_no_store_is_none_is_found(tmp_path, objects):
    for root in (tmp_path, URL):
        assert VolumeStore.found(root, objects.access) is None
