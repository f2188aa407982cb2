import numpy as np
import pytest

from lidcflow.nodules.grid import Scan, work_grid
from lidcflow.nodules.lungs import find_lungs
from lidcflow.nodules.whole_lungs import incomplete_lungs
from tests.nodules.chest import TISSUE, chest


def flags_of(spoil=lambda hu: hu, scale=1.0):
    hu, z_mm, pixel_mm = chest()
    spoiled = np.ascontiguousarray(spoil(hu), np.int16)
    row_mm, column_mm = (scale * mm for mm in pixel_mm)
    grid = work_grid(Scan(spoiled, scale * z_mm[: len(spoiled)], (row_mm, column_mm)))
    return incomplete_lungs(grid, find_lungs(grid))


def test_the_lungs_of_a_whole_chest_have_no_flag():
    assert flags_of() == ()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda hu: hu[30:],
        lambda hu: hu[:40],
        lambda hu: np.where(np.arange(hu.shape[2]) > 60, TISSUE, hu),
        lambda hu: np.where(np.arange(hu.shape[2]) < 60, TISSUE, hu),
    ],
    ids=["cut above", "cut below", "left only", "right only"],
)
def test_lungs_that_are_cut_or_one_sided_are_flagged(spoil):
    assert flags_of(spoil) == ("incomplete-lungs",)


def test_the_small_lungs_of_a_child_are_flagged():
    assert flags_of(scale=0.5) == ("incomplete-lungs",)
