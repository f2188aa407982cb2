import numpy as np
import pytest

from lidcflow.stats.cube_figures import outline_figures


def test_dice_is_a_mean_and_the_error_a_median():
    figures = outline_figures(
        np.array([0.5, 0.9, 1.0]),
        np.array([0.0, 2.0, 9.0]),
        np.array([1.0, 1.2, 0.0]),
        np.array([True, True, False]),
        np.array(["1", "2", "3"]),
    )

    assert figures.dice.value == pytest.approx(0.8)
    assert figures.dice.low < 0.8 < figures.dice.high
    assert (figures.long_axis_error_mm.value, figures.volume_ratio.value) == (2, 1)
    assert figures.within_2_mm.value == pytest.approx(2 / 3)
    assert figures.without_outline == 1


def test_cubes_of_one_scan_have_no_interval():
    figures = outline_figures(*np.ones((3, 2)), np.array([True, True]), np.array(["1", "1"]))

    assert (figures.dice.value, figures.dice.low) == (1, None)
