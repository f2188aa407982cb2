import numpy as np
import pytest

from lidcflow.config import LabelConfig, PreprocessConfig, SplitConfig
from lidcflow.errors import LabelError
from lidcflow.labels.collect import collect_nodules
from lidcflow.learn.snapshot import build_snapshot
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.series.find import index_folder
from lidcflow.store.volumes import VolumeStore
from lidcflow.volume.reduce import reduce_series
from tasks.labels import label_volumes, nodules_of_records
from tests.labels.conftest import SLICES
from tests.labels.written import write


def told(collected):
    return [(str(problem.origin), str(problem.reason)) for problem in collected.problems]


def test_every_row_that_disagrees_with_the_images_is_told(tmp_path, collected, images):
    file = write(
        tmp_path,
        "own.csv",
        f"1.2.3,{images[0]},,A,4",
        "1.2.3,9.9.9,,A,4",
        "1.2.3,,51.3,A,4",
        f"1.2.3,{images[0]},45,A,4",
        "1.2.4,,45,A,4",
        "1.2.5,,,A,",
    )

    found = collected(file)

    assert told(found) == [
        ("own.csv, line 3", "unknown-image"),
        ("own.csv, line 4", "z-outside"),
        ("own.csv, line 5", "z-differs"),
        ("own.csv, line 6", "unknown-series"),
        ("own.csv, line 7", "unknown-series"),
    ]
    assert "got 3 that are not; own.csv, line 3" in found.left_out["1.2.3"]
    assert not found.nodules


@pytest.mark.parametrize(("z_mm", "fits"), [(51.25, True), (26.25, True), (51.3, False), (26.2, False)])
def test_a_position_may_lie_half_a_spacing_beyond_the_outermost_images(tmp_path, collected, z_mm, fits):
    write(tmp_path, "own.csv", f"1.2.3,,{z_mm},A,4")

    assert ("1.2.3" in collected().nodules) == fits


def test_a_range_must_lie_within_the_series_with_both_ends(tmp_path, collected):
    write(tmp_path, "own.csv", "1.2.3,60,40,4", header="series_instance_uid,z_top_mm,z_bottom_mm,malignancy")

    assert "z = 26.25 to 51.25 mm, got z = 40.00 to 60.00 mm" in collected().left_out["1.2.3"]


def test_a_series_of_two_sources_is_taken_from_the_first_and_told(tmp_path, collected, labels):
    first, second = write(tmp_path, "a.csv", "1.2.3,,45,A,4"), write(tmp_path, "b.csv", "1.2.3,,40,A,4")

    assert labels(first, second) == "0020000000"
    assert told(collected(first, second)) == [("b.csv, line 2", "duplicate")]


def test_own_readings_stand_before_or_after_those_of_lidc(record, tmp_path):
    file = write(tmp_path, "a.csv", "1.2.3,,45,A,4")

    for sources in (("lidc", str(file)), (str(file), "lidc")):
        assert len(collect_nodules([record], sources).nodules["1.2.3"]) == 1


def test_a_series_that_is_not_of_lidc_is_left_out_by_that_source(record):
    found = collect_nodules([record], ["lidc"])

    assert "must be one of LIDC-IDRI" in found.left_out["1.2.3"]


def test_a_volume_of_a_part_of_the_scan_knows_all_of_its_images(ct_folder, tmp_path):
    config = PreprocessConfig(slices=8, size=16, z_range="lung")
    store = VolumeStore(tmp_path / "store", config)
    (series,) = index_folder(ct_folder, secret=PUBLIC_KEY).usable
    store.write(series, reduce_series(series, config))

    images = store.record("1.2.3").source_slices

    assert [image.z_mm for image in images] == [50.0 - 2.5 * k for k in range(10)]


def test_readings_that_changed_after_the_snapshot_are_refused(record, tmp_path):
    config = LabelConfig(source=str(write(tmp_path, "own.csv", "1.2.3,,45,A,4")))
    labels = label_volumes([record], config).labels["1.2.3"]

    collected = collect_nodules([record], config.sources)
    (nodules,) = nodules_of_records([record], collected, config, expected=labels[None])
    write(tmp_path, "own.csv", "1.2.3,,40,A,4")

    assert [nodule.slices for nodule in nodules] == [frozenset({2})]
    with pytest.raises(LabelError, match=r"series 1\.2\.3: readings must be those"):
        nodules_of_records([record], collect_nodules([record], config.sources), config, expected=labels[None])


def test_no_labels_at_all_is_one_sentence(record, tmp_path):
    config = LabelConfig(source=str(write(tmp_path, "own.csv", "1.2.4,,45,A,4")))

    with pytest.raises(LabelError, match="readings that fit, got none of 1 readings; `lidcflow labels --report FILE`"):
        label_volumes([record], config)


def test_patients_of_ones_own_become_a_training_set(tmp_path, ct_series):
    store = VolumeStore(tmp_path / "store", SLICES)
    for number in range(12):
        ct_series(tmp_path / "ct" / str(number), series_uid=f"1.2.{number}", patient_id=f"P{number}")
    for series in index_folder(tmp_path / "ct", secret=PUBLIC_KEY).usable:
        store.write(series, reduce_series(series, SLICES))
    rows = [f"1.2.{number},,{z_mm},A,{rating}" for number in range(10) for z_mm, rating in ((45, 1), (30, 4))]
    file = write(tmp_path, "own.csv", *rows, "1.2.10,,,A,")
    records = [store.record(uid) for uid in store.series_uids()]

    labelled = label_volumes(records, LabelConfig(source=str(file)))
    snapshot = build_snapshot(records, labelled.labels, SplitConfig(validation=0.3, test=0.3))

    assert list(labelled.left_out) == ["1.2.11"]
    assert len(snapshot.table) == 11 * 10
    np.testing.assert_array_equal(np.bincount(snapshot.table["label"]), [90, 10, 10])
