import numpy as np
import pytest

from lidcflow.nodules.cube_figures import cube_figures
from lidcflow.nodules.cube_file import read_cube_file
from lidcflow.nodules.cube_scores import reader_outlines, segmenter_scores
from tests.nodules.outlined import balls, brightness, write_cubes


def test_an_outline_that_is_the_readers_has_a_dice_of_1(tmp_path):
    figures = cube_figures(brightness(), read_cube_file(write_cubes(tmp_path)))

    assert (figures.cubes, figures.scans, figures.masks_left_out) == (4, 3, ())
    way = figures.ways["segmenter"]
    assert (way.dice.value, way.volume_ratio.value, way.within_2_mm.value, way.without_outline) == (1, 1, 1, 0)
    assert way.long_axis_error_mm.value == pytest.approx(0, abs=0.5)


def test_simpler_ways_are_beside_it(tmp_path):
    ways = cube_figures(brightness(), read_cube_file(write_cubes(tmp_path))).ways

    assert list(ways) == ["segmenter", "threshold -700 HU", "sphere of the reader's volume"]
    assert ways["threshold -700 HU"].dice.value == 1
    assert ways["sphere of the reader's volume"].dice.value > 0.95


def test_masks_that_cannot_be_measured_are_left_out_by_name(tmp_path):
    mask = balls((4.0, 5.0, 6.0, 7.0)).astype(np.uint8)
    mask[1], mask[2] = 0, 1

    figures = cube_figures(brightness(), read_cube_file(write_cubes(tmp_path, mask=mask)))

    assert figures.cubes == 2
    assert figures.masks_left_out == ("11_nod2_ann0", "12_nod1_ann0")


def test_a_nodule_without_an_outline_counts_as_missed(tmp_path):
    file = write_cubes(tmp_path, image=np.zeros((4, 51, 51, 51), np.uint8))
    cubes = read_cube_file(file)
    truth = reader_outlines(cubes)

    scores = segmenter_scores(brightness(), cubes, truth)

    assert not scores.outlined.any()
    assert scores.dice.tolist() == scores.volume_ratio.tolist() == [0, 0, 0, 0]
    np.testing.assert_array_equal(scores.long_axis_error_mm, [one.long_axis_mm for one in truth])
