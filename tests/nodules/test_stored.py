from pathlib import Path

import numpy as np
import pytest

from lidcflow.config import Access, PreprocessConfig
from lidcflow.nodules import stored as module
from lidcflow.nodules.gather import ScanGatherer
from lidcflow.nodules.stored import found_in, read_candidates
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.series.find import index_folder
from lidcflow.store.arrays import CandidateArrays
from lidcflow.store.folders import FolderPlace
from lidcflow.store.repair import repair_store
from lidcflow.store.volumes import VolumeStore
from lidcflow.volume import reduce
from lidcflow.volume.reduce import reduce_series
from tasks.candidates import preprocess_with_candidates
from tasks.worker import preprocess_series
from tests.nodules.chest import chest
from tests.store.examples import URL

CONFIG = PreprocessConfig(slices=8, size=16)


@pytest.fixture(scope="module")
def series(ct_series, tmp_path_factory):
    """Return a chest of 40 slices with a ball in a lung."""
    hu, _, (row_mm, _) = chest([((20, 50, 32), 8, 40)], shape=(40, 120, 120), voxel_mm=(4.0, 2.8, 2.8))
    folder = ct_series(
        tmp_path_factory.mktemp("source"),
        series_uid="1.2.3",
        n=40,
        size=120,
        spacing_mm=4.0,
        hu=hu,
        PixelSpacing=[row_mm] * 2,
    )
    return index_folder(folder, secret=PUBLIC_KEY).usable[0]


@pytest.fixture(scope="module")
def made(series):
    """Return its volume and its candidates."""
    gatherer = ScanGatherer(series)
    volume = reduce_series(series, CONFIG, on_slice=gatherer.add)
    return volume, found_in(gatherer, series, volume.edges_mm)


@pytest.fixture(params=["folder", "bucket"])
def store(request, tmp_path):
    if request.param == "folder":
        return VolumeStore(str(tmp_path / "store"), CONFIG)
    return VolumeStore(URL, CONFIG, access=request.getfixturevalue("objects").access)


def interrupted(*_):
    raise KeyboardInterrupt


def bytes_of(store):
    root = Path(store.root)
    return {str(file.relative_to(root)): file.read_bytes() for file in sorted(root.rglob("*")) if file.is_file()}


def test_candidates_are_read_back_with_where_they_are(store, series, made):
    store.write(series, *made)

    found = read_candidates(store, "1.2.3")

    first = found.table[0]
    assert (first["row"], first["column"]) == pytest.approx((50, 32), abs=1)
    assert first["z_mm"] == pytest.approx(series.slices[20].z_mm, abs=2)
    assert found.sop_instance_uids[0] == series.slices[first["source"]].sop_instance_uid
    edges_mm = made[0].edges_mm
    assert edges_mm[first["slice"] - 1] >= first["z_mm"] >= edges_mm[first["slice"]]
    assert found.patches.shape == (len(found.table), 2, 3, 48, 48)
    assert abs(int(found.patches[0, 0, 0, 23, 23]) - 40) < 5
    assert found.flags == ()


def test_the_volume_is_the_same_with_and_without_candidates(store, series, made):
    volume, candidates = made

    assert store.write(series, volume, candidates) == store.write(series, volume)
    assert store.record("1.2.3").candidates == store.summary("1.2.3").candidates == 2


def test_an_old_volume_is_completed_and_keeps_its_voxels_and_features(store, series, made):
    volume, candidates = made
    digest = store.write(series, volume)
    store.write_features("1.2.3", "compact-1", np.ones((8, 4), np.float16), digest)
    before = read_candidates(store, "1.2.3")

    store.write(series, volume, candidates)

    assert before is None
    assert len(read_candidates(store, "1.2.3").table)
    np.testing.assert_array_equal(store.read_hu("1.2.3"), volume.hu)
    assert store.read_features("1.2.3", "compact-1") is not None


def test_a_completed_store_has_the_bytes_of_one_made_whole(tmp_path, series, made):
    volume, candidates = made
    whole, completed = (VolumeStore(str(tmp_path / name), CONFIG) for name in ("whole", "completed"))
    whole.write(series, volume, candidates)
    completed.write(series, volume)
    completed.write(series, volume, candidates)

    assert bytes_of(completed) == bytes_of(whole)


def test_candidates_without_their_marker_are_none_and_are_found_again(tmp_path, series, made):
    volume, candidates = made
    store = VolumeStore(str(tmp_path / "store"), CONFIG)
    store.write(series, volume, candidates)
    whole = bytes_of(store)

    store.delete_candidates("1.2.3")

    assert read_candidates(store, "1.2.3") is None
    assert not list(Path(store.root).glob("series/1.2.3/candidates"))
    store.write(series, volume, candidates)
    assert bytes_of(store) == whole


def test_a_writer_killed_between_candidates_and_their_marker_is_made_up_for(tmp_path, series, made, monkeypatch):
    volume, candidates = made
    store = VolumeStore(str(tmp_path / "store"), CONFIG)
    store.write(series, volume)
    monkeypatch.setattr(FolderPlace, "describe", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.write(series, volume, candidates)
    monkeypatch.undo()

    assert read_candidates(store, "1.2.3") is None
    store.write(series, volume, candidates)
    assert len(read_candidates(store, "1.2.3").table)


def test_damaged_candidates_are_removed_by_a_repair_that_verifies_and_the_volume_stays(tmp_path, series, made):
    store = VolumeStore(str(tmp_path / "store"), CONFIG)
    store.write(series, *made)
    (chunk,) = Path(store.root).glob("series/1.2.3/candidates/table/c/*/*")
    chunk.write_bytes(chunk.read_bytes()[:-9] + b"damaged!!")

    repaired = repair_store(store, verify=True)

    assert (len(repaired.records), repaired.damaged, repaired.features_removed) == (1, (), 1)
    assert store.summary("1.2.3").candidates == 0


def test_deleting_a_series_deletes_its_candidates(store, series, made):
    store.write(series, *made)

    store.delete("1.2.3")

    assert read_candidates(store, "1.2.3") is None
    assert store.series_uids() == []


def test_a_worker_finds_candidates_where_they_are_wanted_and_completes_a_volume(tmp_path, series):
    store = VolumeStore(tmp_path / "store", CONFIG)
    options = {"store_root": store.root, "config": CONFIG, "access": Access()}

    digest = preprocess_series(series, **options)
    without = read_candidates(store, "1.2.3")

    assert without is None
    assert preprocess_with_candidates(series, **options) == digest
    assert len(read_candidates(store, "1.2.3").table)


def test_each_slice_is_read_once_for_the_volume_and_its_candidates(tmp_path, series, monkeypatch):
    read, decode = [], reduce.hounsfield_slice
    monkeypatch.setattr(reduce, "hounsfield_slice", lambda source, *rest: read.append(source) or decode(source, *rest))

    store = VolumeStore(tmp_path / "store", CONFIG)
    preprocess_with_candidates(series, store_root=store.root, config=CONFIG, access=Access())

    assert read == list(series.slices)


def test_arithmetic_that_fails_leaves_a_flag_and_the_series_goes_on(series, made, monkeypatch):
    gatherer = ScanGatherer(series)
    reduce_series(series, CONFIG, on_slice=gatherer.add)
    monkeypatch.setattr(module, "candidates_of", lambda _: 1 / 0)

    found = found_in(gatherer, series, made[0].edges_mm)

    assert found.attributes["flags"] == ["candidates-failed"]
    assert found.table.shape[0] == found.patches.shape[0] == 0


def test_a_series_of_one_slice_has_none(series, made):
    found = found_in(ScanGatherer(series), series, made[0].edges_mm)

    assert found.attributes["flags"] == ["too-few-slices"]


def test_a_series_without_candidates_is_stored_as_such(store, series, made):
    store.write(series, made[0], found_in(ScanGatherer(series), series, made[0].edges_mm))

    found = read_candidates(store, "1.2.3")

    assert len(found.table) == len(found.patches) == 0
    assert found.flags == ("too-few-slices",)


def test_cubes_are_read_back_where_they_are_asked_for(store, series, made):
    store.write(series, *made)

    found = read_candidates(store, "1.2.3", cubes=True)

    hu, voxel_mm = found.cubes.of(0)
    assert hu.shape == (48, 48, 48)
    assert voxel_mm == 1.5 if found.table["diameter_mm"][0] >= 22 else 0.75
    assert abs(int(hu[23, 23, 23]) - int(found.patches[0, 0, 0, 23, 23])) < 20
    assert read_candidates(store, "1.2.3").cubes is None


def of_schema_1(candidates):
    attributes = {name: value for name, value in candidates.attributes.items() if not name.startswith("cube")}
    return CandidateArrays({**attributes, "schema": 1}, candidates.table, candidates.patches)


def test_candidates_of_schema_1_are_read_without_cubes(store, series, made):
    volume, candidates = made

    store.write(series, volume, of_schema_1(candidates))

    found = read_candidates(store, "1.2.3", cubes=True)
    assert store.summary("1.2.3").candidates == 1
    assert found.cubes is None
    np.testing.assert_array_equal(found.patches, candidates.patches)


def test_a_worker_completes_candidates_of_schema_1_with_cubes(tmp_path, series, made):
    volume, candidates = made
    store = VolumeStore(tmp_path / "store", CONFIG)
    digest = store.write(series, volume, of_schema_1(candidates))

    completed = preprocess_with_candidates(series, store_root=store.root, config=CONFIG, access=Access())

    assert completed == digest
    assert len(read_candidates(store, "1.2.3", cubes=True).cubes.hu)


def test_damaged_cubes_are_removed_by_a_repair_that_verifies(tmp_path, series, made):
    store = VolumeStore(str(tmp_path / "store"), CONFIG)
    store.write(series, *made)
    (chunk,) = (one for one in Path(store.root).glob("series/1.2.3/candidates/cubes/c/**/*") if one.is_file())
    chunk.write_bytes(chunk.read_bytes()[:-9] + b"damaged!!")

    repaired = repair_store(store, verify=True)

    assert (repaired.damaged, repaired.features_removed) == ((), 1)
    assert store.summary("1.2.3").candidates == 0
