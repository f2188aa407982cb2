"""Features beside the volumes."""

from pathlib import Path

import numpy as np
import pytest

from lidcflow.errors import StoreError
from tests.store.examples import FEATURES


def test_features_of_another_volume_are_ignored(store, series, volume):
    store.write(series, volume)

    store.write_features("1.2.3", "compact-1", FEATURES, "digest of another volume")

    assert store.read_features("1.2.3", "compact-1") is None


def test_features_are_replaced_whole(store, series, volume):
    digest = store.write(series, volume)
    for features in (FEATURES, FEATURES[:, :2] + np.float16(1)):
        store.write_features("1.2.3", "compact-1", features, digest)

    np.testing.assert_array_equal(store.read_features("1.2.3", "compact-1"), FEATURES[:, :2] + 1)


MAPS = np.arange(5 * 4 * 4 * 8, dtype=np.float16).reshape(5, 4, 4, 8)


def test_maps_are_read_whole_and_slice_by_slice(store, series, volume):
    store.write_features("1.2.3", "compact-1", MAPS, store.write(series, volume))

    np.testing.assert_array_equal(store.read_features("1.2.3", "compact-1"), MAPS)
    np.testing.assert_array_equal(store.read_features("1.2.3", "compact-1", slice(1, 3)), MAPS[1:3])


def test_maps_of_damaged_slices_are_to_be_computed_anew_and_those_of_others_are_read(folder_store, series, volume):
    folder_store.write_features("1.2.3", "compact-1", MAPS, folder_store.write(series, volume))
    shard = Path(folder_store.root) / "series" / "1.2.3" / "features" / "compact-1" / "c" / "0" / "0" / "0" / "0"

    shard.write_bytes(bytes(8) + shard.read_bytes()[8:])

    np.testing.assert_array_equal(folder_store.read_features("1.2.3", "compact-1", slice(1, 3)), MAPS[1:3])
    assert folder_store.read_features("1.2.3", "compact-1", slice(0, 1)) is None
    shard.write_bytes(shard.read_bytes()[:-50])
    assert folder_store.read_features("1.2.3", "compact-1", slice(1, 3)) is None


def test_features_need_a_volume(store):
    with pytest.raises(StoreError, match=r"series 1\.2\.3 must be preprocessed"):
        store.write_features("1.2.3", "compact-1", FEATURES, "digest")

    assert store.series_uids() == []


@pytest.mark.parametrize("feature_id", ["", "..", "../x", "a/b"])
def test_a_feature_id_stays_in_its_folder(store, series, volume, feature_id):
    with pytest.raises(ValueError, match="feature_id must be"):
        store.read_features("1.2.3", feature_id)


def test_features_of_zeros_are_features(store, series, volume):
    store.write_features("1.2.3", "compact-1", FEATURES * 0, store.write(series, volume))

    assert (store.read_features("1.2.3", "compact-1") == 0).all()


def test_deleted_features_are_gone_and_the_volume_is_not(store, series, volume):
    store.write_features("1.2.3", "compact-1", FEATURES, store.write(series, volume))

    store.delete_features("1.2.3", "compact-1")

    assert store.feature_ids("1.2.3") == []
    assert store.series_uids() == ["1.2.3"]
