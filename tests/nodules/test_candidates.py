import numpy as np
import pytest

from lidcflow.nodules.candidates import MOST_CANDIDATES, find_candidates
from lidcflow.nodules.table import CHANNELS
from tests.nodules.chest import chest


def first_at(found, centre, voxel_mm, within_mm):
    """Return the row and the rank of the first candidate near a place in the scan."""
    far_mm = np.linalg.norm((found.places - centre) * voxel_mm, axis=1)
    near = np.flatnonzero(far_mm < within_mm)
    assert len(near), "no candidate is there"
    return found.table[near[0]], int(near[0]) + 1


VOXEL_MM = (2.5, 2.8, 2.8)


@pytest.mark.parametrize("radius_mm", [5, 8, 12])
def test_a_ball_is_the_first_candidate_with_its_place_and_diameter(radius_mm):
    centre = (35, 50, 32)

    found = find_candidates(*chest([(centre, radius_mm, 40)]))

    row, rank = first_at(found, centre, VOXEL_MM, radius_mm / 2)
    assert rank == 1
    assert row["diameter_mm"] == pytest.approx(2 * radius_mm, rel=0.2)
    assert row["z_mm"] == pytest.approx(100 - 35 * 2.5, abs=1.5)
    assert (row["row"], row["column"]) == pytest.approx((50, 32), abs=0.7)
    assert row["source"] == 35


def test_a_nodule_at_the_wall_is_a_candidate_among_the_first():
    found = find_candidates(*chest([((35, 50, 103), 8, 40)]))

    _, rank = first_at(found, (35, 50, 101), VOXEL_MM, 8)
    assert rank <= 3


def test_ground_glass_is_a_candidate_of_its_channel():
    found = find_candidates(*chest([((35, 50, 32), 9, -650)]))

    row, rank = first_at(found, (35, 50, 32), VOXEL_MM, 6)
    assert rank <= 3
    assert row["inside_hu"] == pytest.approx(-650, abs=60)


@pytest.mark.parametrize("centre", [(35, 50, 32), (35, 50, 96), (35, 50, 72)], ids=["in", "at wall", "at hilum"])
def test_a_mass_of_seventy_millimetres_is_a_candidate(centre):
    found = find_candidates(*chest([(centre, 35, 40)]))

    row, _ = first_at(found, centre, VOXEL_MM, 35)
    assert CHANNELS[row["channel"]] in ("solid", "mass")


def test_a_chest_without_lungs_has_none_and_a_flag():
    found = find_candidates(*chest(lungs=False))

    assert found.flags == ("no-lungs",)
    assert len(found.table) == len(found.places) == 0


def test_more_than_fit_are_cut_with_a_flag_and_the_best_stay():
    rng = np.random.default_rng(0)
    centres = [(k, i, j) for k in range(12, 60, 4) for i in range(26, 76, 6) for j in (20, 27, 34, 41, 73, 80, 87, 94)]
    hu, z_mm, pixel_mm = chest()
    for k, i, j in centres:
        hu[k, i : i + 2, j : j + 2] = 40
    hu += rng.integers(-20, 20, hu.shape).astype(np.int16)

    found = find_candidates(hu, z_mm, pixel_mm)

    assert len(found.table) == MOST_CANDIDATES
    assert found.flags == ("candidates-cut",)
    assert (np.diff(found.table["score"]) <= 0).all()


def test_the_same_scan_has_the_same_candidates():
    scan = chest([((35, 50, 32), 8, 40), ((30, 40, 90), 4, 0)])

    first, second = find_candidates(*scan), find_candidates(*scan)

    assert first.table.tobytes() == second.table.tobytes()


BAD = {
    "upside down": lambda hu: hu[::-1, ::-1],
    "one lung": lambda hu: np.where(np.arange(hu.shape[2]) > 60, 40, hu),
    "cut at the edge": lambda hu: hu[:, 30:, 25:],
    "cut at the top": lambda hu: hu[30:],
    "metal": lambda hu: np.where(np.arange(hu.shape[2]) % 40 == 0, 3071, hu),
    "noise": lambda hu: np.random.default_rng(0).integers(-1024, 3071, hu.shape),
    "all air": lambda hu: np.full_like(hu, -1024),
    "two slices": lambda hu: hu[30:32],
}


@pytest.mark.parametrize("spoil", BAD.values(), ids=BAD)
def test_bad_input_has_few_candidates_or_a_flag_and_never_an_error(spoil):
    hu, _, pixel_mm = chest([((35, 50, 32), 8, 40)])
    spoiled = np.ascontiguousarray(spoil(hu), np.int16)

    found = find_candidates(spoiled, 100 - 2.5 * np.arange(len(spoiled)), pixel_mm)

    assert len(found.table) <= MOST_CANDIDATES
    assert all(np.isfinite(found.table[name]).all() for name in found.table.dtype.names)


def test_thick_slices_have_candidates():
    hu, _, pixel_mm = chest([((35, 50, 32), 10, 40)])

    found = find_candidates(hu[::3].copy(), 100 - 7.5 * np.arange(len(hu[::3])), pixel_mm)

    first_at(found, (35 / 3, 50, 32), (7.5, 2.8, 2.8), 10)
