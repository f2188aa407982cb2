from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lidcflow.config import SplitConfig
from lidcflow.errors import TrainingError
from lidcflow.learn.snapshot import Snapshot, build_snapshot, class_counts, lacking_classes, sector_rows
from lidcflow.learn.splits import split_of

SPLIT = SplitConfig()
SLICES = 6


@dataclass(frozen=True)
class Volume:
    series_instance_uid: str
    patient_key: str
    volume_digest: str = "d1"


VOLUMES = [Volume(f"1.2.{number}", f"patient {number % 40}") for number in range(50)]
"""50 series of 40 patients."""

LABELS = {
    volume.series_instance_uid: np.array([0, 0, 0, number % 3, 2 * (number % 2), 0], dtype=np.int8)
    for number, volume in enumerate(VOLUMES)
}


def snapshot_of(volumes: list[Volume] = VOLUMES, labels: dict[str, np.ndarray] = LABELS) -> Snapshot:
    return build_snapshot(volumes, labels, SPLIT)


def keys_in(split: str, number: int) -> list[str]:
    keys = (f"key {candidate}" for candidate in range(1000))
    return [key for key in keys if split_of(key, SPLIT) == split][:number]


def one_series_a_split(**classes: list[int]) -> tuple[list[Volume], dict[str, np.ndarray]]:
    """A series of one patient in each split named, with these labels."""
    volumes = [Volume(f"1.{split}", keys_in(split, 1)[0]) for split in classes]
    labels = {f"1.{split}": np.array(values, dtype=np.int8) for split, values in classes.items()}
    return volumes, labels


def test_a_snapshot_has_a_row_for_each_slice():
    table = snapshot_of().table

    assert len(table) == 50 * SLICES
    first = table[table["series_instance_uid"] == "1.2.5"]
    assert first["slice"].tolist() == [1, 2, 3, 4, 5, 6]
    assert first["label"].tolist() == [0, 0, 0, 2, 2, 0]
    assert set(first["patient_key"]) == {"patient 5"}
    assert set(first["split"]) == {split_of("patient 5", SPLIT)}
    assert set(first["volume_digest"]) == {"d1"}


def test_the_digest_does_not_depend_on_the_order_of_series():
    assert snapshot_of().digest == snapshot_of(VOLUMES[::-1]).digest


def test_the_digest_changes_with_a_label_a_voxel_or_the_split():
    other_label = {**LABELS, "1.2.5": np.array([0, 0, 1, 2, 2, 0], dtype=np.int8)}
    other_voxels = [Volume("1.2.0", "patient 0", "d2"), *VOLUMES[1:]]

    digests = {
        snapshot_of().digest,
        snapshot_of(labels=other_label).digest,
        snapshot_of(other_voxels).digest,
        build_snapshot(VOLUMES, LABELS, SplitConfig(seed=1)).digest,
    }

    assert len(digests) == 4


def test_series_without_labels_are_left_out():
    with_a_stranger = [*VOLUMES, Volume("9.9.9", "stranger")]

    assert snapshot_of(with_a_stranger).digest == snapshot_of().digest


def test_a_saved_snapshot_comes_back_as_it_was(tmp_path: Path):
    snapshot = snapshot_of()

    snapshot.save(tmp_path / "snapshot.parquet")
    loaded = Snapshot.load(tmp_path / "snapshot.parquet")

    assert loaded.digest == snapshot.digest
    pd.testing.assert_frame_equal(loaded.table, snapshot.table, check_dtype=True)
    assert [file.name for file in tmp_path.iterdir()] == ["snapshot.parquet"]


def test_a_snapshot_that_was_changed_is_refused(tmp_path: Path):
    file = tmp_path / "snapshot.parquet"
    snapshot_of().save(file)
    table = pd.read_parquet(file)
    table.loc[0, "label"] = 2

    table.to_parquet(file)

    with pytest.raises(TrainingError, match=r"snapshot\.parquet: rows must be those that were saved"):
        Snapshot.load(file)


def test_a_patient_on_both_sides_stops_training(tmp_path: Path):
    table = snapshot_of().table.copy()
    series = table["series_instance_uid"] == "1.2.45"
    table.loc[series, "split"] = "test" if table.loc[series, "split"].iloc[0] == "train" else "train"

    table.to_parquet(tmp_path / "snapshot.parquet")

    with pytest.raises(TrainingError, match="a patient must be in one split, got 1 in two or more"):
        Snapshot.load(tmp_path / "snapshot.parquet")


def test_a_missing_snapshot_is_one_sentence(tmp_path: Path):
    with pytest.raises(TrainingError, match="the file must exist"):
        Snapshot.load(tmp_path / "snapshot.parquet")


def test_two_series_of_a_patient_are_in_one_split():
    splits = snapshot_of().table.groupby("patient_key")["split"].nunique()

    assert (splits == 1).all()
    assert len(splits) == 40


@pytest.mark.parametrize("absent", ["train", "validation", "test"])
def test_an_empty_split_stops_training_and_says_so(absent: str):
    classes = {split: [0, 1, 2] for split in ("train", "validation", "test") if split != absent}

    with pytest.raises(TrainingError, match=rf"{absent} must hold at least one patient, got none of 2; add series"):
        snapshot_of(*one_series_a_split(**classes))


def test_a_class_without_a_training_slice_stops_training():
    with pytest.raises(TrainingError, match="train must hold slices of each class, got no malignant slice"):
        snapshot_of(*one_series_a_split(train=[0, 1, 1], validation=[0, 1, 2], test=[0, 1, 2]))


def test_validation_without_a_nodule_stops_training():
    with pytest.raises(TrainingError, match="validation must hold a slice with a nodule"):
        snapshot_of(*one_series_a_split(train=[0, 1, 2], validation=[0, 0, 0], test=[0, 1, 2]))


def test_nothing_labelled_stops_training():
    with pytest.raises(TrainingError, match="at least one stored series must have labels"):
        snapshot_of(labels={})


def test_a_series_stored_twice_stops_training():
    with pytest.raises(TrainingError, match=r"a slice must be in once, got series 1\.2\.7 twice"):
        snapshot_of([*VOLUMES, VOLUMES[7]])


def test_volumes_of_unequal_length_stop_training():
    with pytest.raises(TrainingError, match="the same number of slices, got 5 to 6"):
        snapshot_of(labels={**LABELS, "1.2.0": np.zeros(5, dtype=np.int8)})


def test_a_sector_holds_its_slices_only():
    rows = sector_rows(snapshot_of(), range(3, 5), "none", None, seed=0)

    assert set(rows["slice"]) == {4, 5}


@pytest.mark.parametrize("balance", ["equal", "cap_non_nodule", "none"])
def test_balancing_leaves_validation_and_test_at_natural_prevalence(balance: str):
    snapshot = snapshot_of()

    rows = sector_rows(snapshot, range(SLICES), balance, 1, seed=0)

    held_out = rows[rows["split"] != "train"]
    pd.testing.assert_frame_equal(held_out, snapshot.table[snapshot.table["split"] != "train"])


@pytest.mark.parametrize(
    ("balance", "cap", "expected"),
    [
        ("none", None, (20, 3, 5)),
        ("none", 4, (4, 3, 4)),
        ("equal", None, (3, 3, 3)),
        ("equal", 4, (4, 3, 4)),
        ("cap_non_nodule", None, (8, 3, 5)),
        ("cap_non_nodule", 2, (2, 3, 5)),
    ],
)
def test_balance_limits_the_classes(balance: str, cap: int | None, expected: tuple[int, int, int]):
    training = [0] * 20 + [1] * 3 + [2] * 5
    volumes, labels = one_series_a_split(train=training, validation=[1] * 28, test=[1] * 28)

    rows = sector_rows(snapshot_of(volumes, labels), range(28), balance, cap, seed=0)

    assert class_counts(rows[rows["split"] == "train"]) == expected


@given(seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=10)
def test_the_same_seed_keeps_the_same_rows_and_each_once(seed: int):
    snapshot = snapshot_of()

    first, second = (sector_rows(snapshot, range(SLICES), "equal", None, seed) for _ in range(2))

    pd.testing.assert_frame_equal(first, second)
    assert not first.duplicated(["series_instance_uid", "slice"]).any()


def test_another_seed_keeps_other_rows():
    first, second = (sector_rows(snapshot_of(), range(SLICES), "equal", None, seed) for seed in (0, 1))

    assert not first.index.equals(second.index)


def test_a_sector_knows_which_classes_it_lacks():
    snapshot = snapshot_of()

    assert lacking_classes(snapshot, range(0, 3)) == [1, 2]
    assert lacking_classes(snapshot, range(4, 5)) == [1]
    assert lacking_classes(snapshot, range(SLICES)) == []


def test_a_sector_without_nodules_can_still_be_looked_at():
    rows = sector_rows(snapshot_of(), range(0, 3), "equal", None, seed=0)

    assert set(rows["label"]) == {0}
