import numpy as np
import pytest

from lidcflow.errors import LabelError
from lidcflow.evaluate.cubes import evaluate_cubes
from tests.nodules.outlined import NAMES, brightness, write_cubes


def test_cubes_that_were_trained_on_are_left_out(tmp_path):
    found = evaluate_cubes(write_cubes(tmp_path), brightness(trained_on=NAMES[:1]))

    assert (found.trained_on_left_out, found.figures.cubes) == (1, 3)
    assert found.segmenter_sha256 == "ab" * 32


def test_a_file_of_cubes_that_were_all_trained_on_is_scored(tmp_path):
    found = evaluate_cubes(write_cubes(tmp_path), brightness(trained_on=NAMES))

    assert (found.trained_on_left_out, found.figures.cubes) == (0, 4)


def test_a_file_without_a_mask_that_can_be_measured_is_refused(tmp_path):
    file = write_cubes(tmp_path, mask=np.zeros((4, 51, 51, 51), np.uint8))

    with pytest.raises(LabelError, match=r"at least one mask must lie in the middle of its cube.*got none of 4"):
        evaluate_cubes(file, brightness())
