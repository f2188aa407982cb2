import numpy as np
import pytest

from lidcflow.errors import TrainingError
from lidcflow.learn.nodule_rows import NoduleRows, find_nodules, read_nodule_cubes
from lidcflow.nodules.cubes import CUBE_MM, CUBE_VOXELS
from tests.labelled_candidates import labelled_candidates


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Return a snapshot, its store, the nodules in it, and the rows of those that cubes show."""
    snapshot, store, nodules = labelled_candidates(tmp_path_factory.mktemp("workspace"))
    return snapshot, store, nodules, find_nodules(snapshot, store, nodules)


def test_nodules_of_all_splits_have_a_row_with_the_ratings_of_their_readers(found):
    snapshot, _, nodules, rows = found

    assert set(rows.table["split"]) == {"train", "validation", "test"}
    split_of = dict(zip(snapshot.table["patient_key"], snapshot.table["split"], strict=True))
    assert (rows.table["patient_key"].map(split_of) == rows.table["split"]).all()
    for row in rows.table.itertuples():
        nodule = nodules[row.series_instance_uid][row.nodule]
        assert row.rating == pytest.approx(nodule.malignancy)
        assert row.readers == len(nodule.readings)


def test_masks_are_those_of_the_readers_on_the_voxels_of_the_cube(found):
    *_, rows = found

    outlined = rows.table[rows.table["outlined"]]
    volumes_mm3 = np.array([rows.mask(row).sum() * CUBE_MM[0] ** 3 for row in outlined.index])
    whole = outlined["diameter_mm"] < 0.6 * CUBE_VOXELS * CUBE_MM[0]
    ratio = (6 * volumes_mm3 / np.pi) ** (1 / 3) / outlined["diameter_mm"]
    assert whole.sum() > 5
    assert np.median(ratio[whole]) == pytest.approx(1, abs=0.2)


def test_cubes_are_read_row_for_row_and_others_than_were_judged_are_refused(found):
    _, store, _, rows = found
    _, of_series = next(iter(rows.table.groupby("series_instance_uid")))

    hu, voxel_mm = read_nodule_cubes(of_series, store)

    assert hu.shape == (len(of_series), *[CUBE_VOXELS] * 3)
    assert (voxel_mm == of_series["voxel_mm"]).all()
    assert (hu[:, CUBE_VOXELS // 2, CUBE_VOXELS // 2, CUBE_VOXELS // 2] == 40).all()
    with pytest.raises(TrainingError, match="must have the cubes that its nodules were found in"):
        read_nodule_cubes(of_series.assign(score=0.0), store)


def test_what_has_no_cube_is_counted(found):
    snapshot, store, nodules, rows = found
    without = rows.table["series_instance_uid"].iloc[0]
    store.delete_candidates(without)

    fewer = find_nodules(snapshot, store, nodules)

    assert fewer.left_out["without_cubes"] == rows.left_out["without_cubes"] + 1
    assert without not in set(fewer.table["series_instance_uid"])


def test_rows_are_read_back_as_they_were(found, tmp_path):
    *_, rows = found

    rows.save(tmp_path / "nodules.parquet")

    read = NoduleRows.load(tmp_path / "nodules.parquet")
    assert read.table.equals(rows.table)
    assert (read.masks == rows.masks).all()
    assert read.left_out == rows.left_out


def test_a_file_that_was_cut_short_is_refused(tmp_path):
    (tmp_path / "nodules.parquet").write_bytes(b"PAR1")

    with pytest.raises(TrainingError, match="must be a Parquet file of judged nodules"):
        NoduleRows.load(tmp_path / "nodules.parquet")
