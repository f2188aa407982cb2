"""The guard file of a store: what its volumes were made with."""

import json

import pytest

from lidcflow.config import PreprocessConfig
from lidcflow.errors import StoreMismatch
from lidcflow.store.volumes import VolumeStore
from tests.store.examples import SMALL


def test_a_store_of_another_configuration_is_refused_naming_both(store, objects):
    with pytest.raises(StoreMismatch) as refused:
        VolumeStore(store.root, PreprocessConfig(size=64, slices=13), access=objects.access)

    assert "size = 16" in str(refused.value)
    assert "size = 64" in str(refused.value)
    assert "choose another workspace" in str(refused.value)


def test_a_store_opens_again_with_its_configuration(store, series, volume, objects):
    store.write(series, volume)

    assert VolumeStore(store.root, SMALL, create=False, access=objects.access).series_uids() == ["1.2.3"]
    assert VolumeStore.found(store.root, objects.access).config == SMALL


def test_the_guard_file_says_what_the_store_was_made_with(store, contents):
    guard = json.loads(contents(store)["lidcflow.json"])

    assert PreprocessConfig(**guard["preprocess"]).digest == guard["preprocess_digest"] == SMALL.digest
