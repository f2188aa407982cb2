import numpy as np

from lidcflow.labels.match import Images
from lidcflow.labels.readings import MarkedSlice, Nodule, Origin, Reading
from lidcflow.nodules.reader_mask import reader_mask

SIDE, VOXEL_MM, PIXEL_MM = 20, 0.5, (0.5, 0.25)
CENTRE = (100.25, 40.0, 80.0)
IMAGES = Images("1.2.3", np.arange(110.0, 90.0, -2.0), tuple("abcdefghij"), 1.0, 2.0, 200, 200)


def square(half_mm, row=40.0, column=80.0):
    down, across = half_mm / PIXEL_MM[0], half_mm / PIXEL_MM[1]
    return np.array([(row + y * down, column + x * across) for y, x in [(-1, -1), (-1, 1), (1, 1), (1, -1)]])


def reading(half_mm, heights=(98.0, 100.0, 102.0), holes=()):
    marks = [MarkedSlice(z_mm, points=square(half_mm)) for z_mm in heights]
    marks += [MarkedSlice(z_mm, points=square(1.0), inclusion=False) for z_mm in holes]
    return Reading("1.2.3", 3.0, Origin("xml", "a"), tuple(marks))


def mask_of(*readings, place=CENTRE):
    return reader_mask(Nodule(tuple(readings)), IMAGES, place, VOXEL_MM, PIXEL_MM, side=SIDE)


def test_a_mask_has_the_size_of_the_outlines_in_mm():
    mask = mask_of(reading(3.0))

    assert mask.shape == (SIDE, SIDE, SIDE)
    assert mask.sum() == 12 * 12 * 12  # 6 mm on a side: three slices of 2 mm, outlines of 6 mm
    assert mask[:, 4:16, 4:16].sum() == mask.sum()


def test_what_is_below_the_middle_in_the_chest_comes_later():
    low = mask_of(reading(3.0, heights=(98.0,)))

    assert np.flatnonzero(low.any(axis=(1, 2))).min() >= SIDE // 2


def test_half_of_the_readers_must_have_outlined_a_voxel():
    two, one = mask_of(reading(3.0), reading(3.0), reading(1.0)), mask_of(reading(3.0), reading(1.0), reading(1.0))

    assert two.sum() == 12**3
    assert one.sum() == 12 * 4 * 4
    assert mask_of(reading(3.0), reading(1.0)).sum() == 12**3


def test_a_hole_is_no_part_of_the_nodule():
    assert mask_of(reading(3.0, holes=(100.0,))).sum() == 12**3 - 4 * 4 * 4


def test_a_reading_without_an_outline_gives_no_mask():
    range_alone = Reading("1.2.3", 3.0, Origin("csv", "a"), (), (98.0, 102.0))

    assert mask_of(reading(3.0), range_alone) is None


def test_nothing_reaches_beyond_the_scan():
    top = mask_of(reading(3.0, heights=(110.0,)), place=(110.0, 40.0, 80.0))

    z_mm = 110.0 - (np.arange(SIDE) - (SIDE - 1) / 2) * VOXEL_MM
    assert np.array_equal(top.any(axis=(1, 2)), np.abs(z_mm - 110.0) <= 1.0)
