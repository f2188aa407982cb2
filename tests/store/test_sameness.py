"""Which volumes are taken as they are, and which sources are read again."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lidcflow.store.record import MOST_STATES
from tests.store.examples import FEATURES

OTHER_VERSION = "1.2.3"


def in_another_state(series, version=OTHER_VERSION):
    return replace(series, state=version)


def without_states(store):
    """Make a store as older versions wrote it; return the file that describes the volume."""
    file = Path(store.root) / "series" / "1.2.3" / "zarr.json"
    described = json.loads(file.read_bytes())
    del described["attributes"]["lidcflow"]["source_states"]
    file.write_text(json.dumps(described, indent=2))
    return file


def test_a_source_in_another_state_is_to_be_read(store, series, volume):
    store.write(series, volume)

    assert store.is_current(series)
    assert not store.is_current(in_another_state(series))
    assert store.is_of_headers(store.summary("1.2.3"), in_another_state(series))


def test_the_same_pixels_in_another_state_keep_voxels_and_features(store, series, volume, contents):
    digest = store.write(series, volume)
    store.write_features("1.2.3", "compact-1", FEATURES, digest)
    before = {key: content for key, content in contents(store).items() if not key.endswith("1.2.3/zarr.json")}

    assert store.write(in_another_state(series), volume) == digest

    after = {key: content for key, content in contents(store).items() if not key.endswith("1.2.3/zarr.json")}
    assert after == before
    assert store.is_current(series)
    assert store.is_current(in_another_state(series))
    np.testing.assert_array_equal(store.read_features("1.2.3", "compact-1"), FEATURES)


def test_other_pixels_are_another_volume(store, series, volume):
    digest = store.write(series, volume)
    store.write_features("1.2.3", "compact-1", FEATURES, digest)
    repaired = replace(volume, hu=volume.hu + 1)

    assert store.write(in_another_state(series), repaired) != digest

    assert not store.is_current(series)
    assert store.read_features("1.2.3", "compact-1") is None


def test_the_last_few_states_are_kept(folder_store, series, volume):
    for number in range(MOST_STATES + 1):
        folder_store.write(in_another_state(series, f"{number}.0.0"), volume)

    assert not folder_store.is_current(in_another_state(series, "0.0.0"))
    assert folder_store.is_current(in_another_state(series, "1.0.0"))


def test_a_source_that_tells_no_versions_is_known_by_its_instances(store, series, volume):
    store.write(series, volume)

    assert store.is_current(in_another_state(series, ""))


@pytest.mark.parametrize(("later_s", "current"), [(7200, True), (-7200, False)])
def test_an_old_volume_is_of_files_that_have_not_changed_since(folder_store, series, volume, later_s, current):
    folder_store.write(series, volume)
    file = without_states(folder_store)
    changed_s = max(Path(source.path).stat().st_ctime for source in series.slices)

    os.utime(file, (changed_s + later_s, changed_s + later_s))

    assert folder_store.record("1.2.3").source_states == ()
    assert folder_store.is_current(series) is current


def test_an_old_volume_that_was_read_again_has_its_state(folder_store, series, volume):
    digest = folder_store.write(series, volume)
    file = without_states(folder_store)
    os.utime(file, (0, 0))

    assert folder_store.write(series, volume) == digest

    assert folder_store.record("1.2.3").source_states == (series.state,)


def test_an_old_volume_of_a_pacs_is_kept_and_its_state_noted(folder_store, series, volume):
    folder_store.write(series, volume)
    without_states(folder_store)
    there = tuple(
        replace(source, path=f"http://pacs/studies/1/series/2/instances/{i}") for i, source in enumerate(series.slices)
    )
    held = replace(series, slices=there, state="held")
    found = folder_store.summary("1.2.3")

    assert folder_store.is_current(held)
    folder_store.note_state(found, held)

    assert folder_store.record("1.2.3").source_states == folder_store.summary("1.2.3").source_states == ("held",)
    assert not folder_store.is_current(replace(held, state="stored anew"))
