"""Files that are repaired, exchanged or copied: what lies in the store is what lies at the source."""

import os
import shutil

import numpy as np
import pydicom
import pytest

from flows.preprocess import preprocess
from lidcflow.config import ClusterConfig, Config, PreprocessConfig
from lidcflow.privacy import PUBLIC_KEY, hash_patient_id
from lidcflow.store.volumes import VolumeStore

pytestmark = pytest.mark.usefixtures("prefect_server")

LUNG_HU = -500


def body(level_hu):
    """Return a slice of which one half is lung: a slice of one value counts as blank."""
    return np.where(np.arange(32) < 16, LUNG_HU, level_hu) + np.zeros((32, 1), dtype=int)


@pytest.fixture
def config(tmp_path, address):
    return Config(
        workspace=tmp_path / "workspace",
        patient_key="public",
        preprocess=PreprocessConfig(slices=8, size=16),
        cluster=ClusterConfig(place=address, batch_size=2),
    )


@pytest.fixture
def source(tmp_path, ct_series):
    """A folder of two series in which slices 5 to 7 of one are still zero."""
    ct_series(tmp_path / "source" / "a", hu=lambda i: -1024 if 4 <= i < 7 else body(40), series_uid="1.2.3")
    ct_series(tmp_path / "source" / "b", hu=lambda _: body(40), series_uid="1.2.4")
    return tmp_path / "source"


def counts(config, source):
    report = preprocess(str(source), config)
    return report.done, report.reused, report.verified


def exchanged(folder, other):
    """Put other files under the names of a folder's, with the times of the old ones."""
    for path in sorted(folder.iterdir()):
        before = path.stat()
        shutil.copyfile(other / path.name, path)
        assert path.stat().st_size == before.st_size
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_pixels_that_are_completed_in_place_make_the_volume_anew(source, config, ct_series, tmp_path):
    first = counts(config, source)
    dark = VolumeStore.of(config).read_hu("1.2.3")[0].min()

    exchanged(source / "a", ct_series(tmp_path / "whole", hu=lambda _: body(40), series_uid="1.2.3"))
    second = counts(config, source)

    assert (first, second, counts(config, source)) == ((2, 0, 0), (1, 1, 0), (0, 2, 0))
    assert (dark, VolumeStore.of(config).read_hu("1.2.3")[0].min()) == (-1024, LUNG_HU)


def test_a_copy_of_the_archive_keeps_its_volumes(source, config, tmp_path):
    counts(config, source)
    group = config.workspace / "store" / "series" / "1.2.3" / "0" / "zarr.json"
    before = group.stat().st_ino

    shutil.copytree(source, tmp_path / "copy")
    copied = counts(config, tmp_path / "copy")

    assert (copied, counts(config, tmp_path / "copy"), counts(config, source)) == ((0, 2, 2), (0, 2, 0), (0, 2, 0))
    assert group.stat().st_ino == before


def test_another_patients_series_under_the_same_names_sizes_and_times_is_another_series(
    source, config, ct_series, tmp_path
):
    counts(config, source)

    exchanged(source / "a", ct_series(tmp_path / "other", hu=lambda _: body(900), series_uid="1.2.9", patient_id="P2"))
    report = preprocess(str(source), config)

    assert (report.found, report.done, report.reused) == (2, 1, 1)
    store = VolumeStore.of(config)
    assert store.record("1.2.9").patient_key == hash_patient_id("P2", PUBLIC_KEY)
    assert store.read_hu("1.2.9").max() == 900
    assert store.read_hu("1.2.3").max() == 40


def test_the_same_uids_of_another_patient_are_stored_as_that_patients(source, config, ct_series, tmp_path):
    counts(config, source)
    other = ct_series(tmp_path / "other", hu=lambda _: body(900), series_uid="1.2.3", patient_id="P2")

    exchanged(source / "a", other)
    counts(config, source)

    found = VolumeStore.of(config).record("1.2.3")
    assert found.patient_key == hash_patient_id("P2", PUBLIC_KEY)
    assert VolumeStore.of(config).read_hu("1.2.3").max() == 900


def test_a_file_that_changes_between_index_and_read_sets_its_series_aside_until_the_next_run(
    source, config, monkeypatch
):
    from flows import preprocess as flow

    bring = flow.preprocess_missing

    def bring_late(index, config, store):
        path = source / "a" / "000003.dcm"
        dataset = pydicom.dcmread(path)
        dataset.PatientID = "P2"
        dataset.save_as(path)
        return bring(index, config, store)

    with monkeypatch.context() as patch:
        patch.setattr(flow, "preprocess_missing", bring_late)
        report = preprocess(str(source), config)

    assert [(one.series_instance_uid, one.reason) for one in report.refused] == [("1.2.3", "changed")]
    assert VolumeStore.of(config).series_uids() == ["1.2.4"]
    assert [one.reason for one in preprocess(str(source), config).refused] == ["mixed-identity"]
