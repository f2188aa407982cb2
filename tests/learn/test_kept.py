"""A trained sector as files."""

import numpy as np
import pandas as pd
import pytest

from lidcflow.learn import kept
from lidcflow.learn.calibration import Calibration
from lidcflow.learn.heads import build_head, calibrated_model
from lidcflow.learn.kept import DIGEST, FACTS, MODEL, ROWS, find_sector, keep_sector
from lidcflow.learn.release import ClassCounts, Estimate
from lidcflow.learn.training import TrainedSector


@pytest.fixture(scope="module")
def trained():
    calibration = Calibration(0.1 + 0.2, (0.1, 1 / 3, -2.0))
    features = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    return TrainedSector(
        model=calibrated_model(build_head("mlp", features, seed=3), calibration),
        calibration=calibration,
        history={"loss": [1 / 3, 0.1 + 0.2]},
        best_epoch=1,
        remark="",
        training=ClassCounts(non_nodule=3, benign=2, malignant=1),
        validation={"auroc_nodule": Estimate(value=2 / 3)},
        test={"auroc_nodule": Estimate(value=None)},
        validation_rows=pd.DataFrame({"label": [0, 1], "p_nodule": np.float32([0.1, 0.2])}, index=[4, 7]),
        validation_confusion=np.eye(3, dtype=np.int64),
    )


def test_a_trained_sector_comes_back_bit_for_bit(trained, tmp_path):
    keep_sector(trained, tmp_path / "sector-01")

    found = find_sector(tmp_path / "sector-01")

    for ours, theirs in zip(found.model.get_weights(), trained.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for name in ("calibration", "history", "best_epoch", "training", "validation", "test"):
        assert getattr(found, name) == getattr(trained, name)
    pd.testing.assert_frame_equal(found.validation_rows, trained.validation_rows)
    np.testing.assert_array_equal(found.validation_confusion, trained.validation_confusion)


def test_a_sector_that_was_kept_twice_lies_there_once(trained, tmp_path):
    keep_sector(trained, tmp_path / "sector-01")
    keep_sector(trained, tmp_path / "sector-01")

    assert [entry.name for entry in tmp_path.iterdir()] == ["sector-01"]


@pytest.mark.parametrize("file", [FACTS, MODEL, ROWS, DIGEST])
def test_a_sector_that_is_damaged_is_trained_again(trained, tmp_path, file):
    keep_sector(trained, tmp_path / "sector-01")
    (tmp_path / "sector-01" / file).write_bytes(b"cut")

    assert find_sector(tmp_path / "sector-01") is None


def test_a_sector_of_another_version_is_trained_again(trained, tmp_path, monkeypatch):
    keep_sector(trained, tmp_path / "sector-01")
    monkeypatch.setattr(kept, "installed_version", lambda _package: "0.0.1")

    assert find_sector(tmp_path / "sector-01") is None


def test_what_is_not_there_is_not_found(tmp_path):
    assert find_sector(tmp_path / "sector-01") is None


@pytest.mark.parametrize("file", [FACTS, MODEL, ROWS])
def test_a_sector_with_a_flipped_byte_is_trained_again(trained, tmp_path, file):
    keep_sector(trained, tmp_path / "sector-01")
    content = bytearray((tmp_path / "sector-01" / file).read_bytes())
    content[len(content) // 2] ^= 0x01
    (tmp_path / "sector-01" / file).write_bytes(bytes(content))

    assert find_sector(tmp_path / "sector-01") is None
