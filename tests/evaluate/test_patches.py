import numpy as np
import pytest

from lidcflow.errors import LabelError
from lidcflow.evaluate.patches import evaluate_patches
from lidcflow.nodules.detector import Calibration, Detector


class Brightness:
    """A network that takes bright patches for nodules."""

    def __call__(self, grey):
        return grey.mean(axis=(1, 2), dtype=np.float32)


@pytest.fixture
def detector():
    return Detector((Brightness(),), Calibration(0.0, 1.0, 0.0, 0.5), {}, "ab" * 32)


@pytest.fixture
def write(tmp_path):
    def written(label, split):
        image = np.repeat(np.array(label, np.uint8), 50 * 50).reshape(-1, 50, 50) * 100
        index = 1000 * np.arange(len(label))
        np.savez(
            tmp_path / "mine.npz", image=image, label=np.array(label), candidate_index=index, split=np.array(split)
        )
        return tmp_path / "mine.npz"

    return written


def test_patches_that_were_trained_on_are_left_out(write, detector):
    found = evaluate_patches(write([1, 0, 1, 0, 0], ["train", "train", "validation", "validation", "test"]), detector)

    assert found.train_left_out == 2
    assert (found.figures.patches, found.figures.nodules) == (3, 1)
    assert found.figures.auroc.value == 1.0
    assert found.detector_sha256 == detector.sha256


def test_a_file_of_training_patches_alone_is_scored(write, detector):
    found = evaluate_patches(write([1, 0], ["train", "train"]), detector)

    assert (found.train_left_out, found.figures.patches) == (0, 2)


@pytest.mark.parametrize("label", [[0, 0], [1, 1]])
def test_patches_of_one_kind_are_refused(write, detector, label):
    with pytest.raises(LabelError, match="must hold patches with a nodule and patches without"):
        evaluate_patches(write(label, ["", ""]), detector)
