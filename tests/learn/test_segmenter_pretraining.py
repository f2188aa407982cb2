import numpy as np
import pytest

from lidcflow.errors import TrainingError
from lidcflow.learn.segmenter_pretraining import assemble, kept_apart, outlined_cubes, require_cubes, split_cubes
from lidcflow.learn.segmenter_training import SegmenterTraining
from lidcflow.nodules.cube_file import read_cube_file
from lidcflow.nodules.segmenter import read_segmenter
from tests.nodules.outlined import random_weights, write_cubes

SCANS = tuple(f"{index}_nod{nodule}_ann0" for index in range(1, 13) for nodule in (1, 2))


def test_about_a_quarter_of_the_scans_is_kept_apart():
    share = kept_apart(np.arange(2000).astype(str)).mean()

    assert 0.2 < share < 0.3


def test_a_scan_is_on_one_side_of_the_split(tmp_path):
    training, apart = split_cubes(read_cube_file(write_cubes(tmp_path, SCANS)))

    assert not {*training.scan} & {*apart.scan}
    assert len(training.name) + len(apart.name) == len(SCANS)
    assert [cube.voxel_mm for cube in outlined_cubes(apart)] == [1.0] * len(apart.name)


def test_cubes_of_one_scan_cannot_be_parted(tmp_path):
    with pytest.raises(TrainingError, match="cubes of other scans to keep apart, got 2 and 0; more scans"):
        split_cubes(read_cube_file(write_cubes(tmp_path, ("11_nod1_ann0", "11_nod2_ann0"))))


def test_missing_cubes_are_named(tmp_path):
    with pytest.raises(
        TrainingError, match=r"must hold nodule-cubes/cubes\.npz, got none; name the folder with --data"
    ):
        require_cubes(tmp_path)


def test_weights_are_measured_on_the_cubes_kept_apart_and_written_with_their_card(tmp_path, monkeypatch):
    monkeypatch.setattr("lidcflow.learn.segmenter_pretraining.SHIFTS", (0.0,))
    training, apart = split_cubes(read_cube_file(write_cubes(tmp_path, SCANS[:8])))

    made = assemble(tmp_path / "out", random_weights(), training, apart, SegmenterTraining(steps=1), 2.0)

    assert made.card["kept_apart"]["cubes"] == len(apart.name)
    assert made.card["trained_on"] == training.name.tolist()
    assert read_segmenter(tmp_path / "out").sha256 == made.sha256
