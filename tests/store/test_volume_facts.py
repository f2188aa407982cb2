"""What a store knows of its volumes."""

from dataclasses import replace

import numpy as np
import pytest

from lidcflow.errors import StoreError
from lidcflow.privacy import PUBLIC_KEY, hash_patient_id
from tests.store.examples import SMALL


def test_the_record_traces_every_slab_to_its_sources(store, series, volume):
    digest = store.write(series, volume)

    record = store.record("1.2.3")

    assert record.sources == volume.sources
    np.testing.assert_array_equal(record.edges_mm, volume.edges_mm)
    assert record.patient_key == hash_patient_id("Lovelace", PUBLIC_KEY)
    assert (record.volume_digest, record.config_digest) == (digest, SMALL.digest)
    assert (record.study_instance_uid, record.frame_of_reference_uid) == (
        series.study_instance_uid,
        series.frame_of_reference_uid,
    )
    assert (record.n_source_slices, record.rows, record.columns) == (12, 32, 32)
    assert (record.slice_spacing_mm, record.row_spacing_mm, record.column_spacing_mm) == (2.5, 10, 10)
    assert record.acquisition["manufacturer"] == "Test"
    assert record.synthetic is False


def test_only_the_same_source_is_current(store, series, volume):
    before = store.is_current(series)
    store.write(series, volume)

    assert not before
    assert store.is_current(series)
    assert not store.is_current(replace(series, fingerprint="another"))


@pytest.mark.parametrize("uid", ["..", "../../x", "", "."])
def test_a_series_uid_stays_in_the_store(store, uid):
    with pytest.raises(StoreError, match="named by its UID"):
        store.delete(uid)


def test_an_absent_series_names_the_way_out(store):
    for read in (store.record, store.read_hu):
        with pytest.raises(StoreError, match="must be preprocessed, got no volume of it; run lidcflow preprocess"):
            read("1.2.3")


def test_the_records_of_many_series_come_in_the_order_asked_for(store, series, volume):
    for uid in ("1.2.3", "1.2.4", "1.2.5"):
        store.write(replace(series, series_instance_uid=uid), volume)

    found = [record.series_instance_uid for record in store.records(["1.2.5", "1.2.3"])]

    assert (found, store.series_uids()) == (["1.2.5", "1.2.3"], ["1.2.3", "1.2.4", "1.2.5"])
