import numpy as np
import pytest

from lidcflow.labels.match import Images
from lidcflow.labels.readings import MarkedSlice, Nodule, Origin, Reading
from lidcflow.nodules.table import CANDIDATE
from lidcflow.nodules.truth import Kind, consensus, judge_candidates

Z_MM = np.arange(20.0, 0.0, -1.0)
IMAGES = Images("1.2.3", Z_MM, tuple("abcdefghijklmnopqrst"), 0.5, 1.0, 100, 100)
PIXEL_MM = (0.5, 0.5)


def square(row, column, half):
    corners = [(-half, -half), (-half, half), (half, half), (half, -half)]
    return np.array([(row + down, column + across) for down, across in corners])


def reading(row, column, half=4, heights=(10.0, 11.0, 12.0, 13.0), holes=()):
    marks = [MarkedSlice(z_mm, points=square(row, column, half)) for z_mm in heights]
    marks += [MarkedSlice(z_mm, points=square(row, column, 2), inclusion=False) for z_mm in holes]
    return Reading("1.2.3", 3.0, Origin("xml", "a"), tuple(marks))


def nodule(*readings):
    return Nodule(tuple(readings))


def candidates(*places):
    table = np.zeros(len(places), CANDIDATE)
    for row, place in zip(table, places, strict=True):
        row["z_mm"], row["row"], row["column"] = place
    return table


def kinds_of(nodules, *places):
    return [Kind(kind) for kind in judge_candidates(candidates(*places), nodules, IMAGES, PIXEL_MM).kinds]


THREE = nodule(reading(50, 50), reading(50, 50), reading(50, 52))


def test_the_consensus_is_the_mean_of_the_readers():
    agreed = consensus(THREE, IMAGES, PIXEL_MM)

    assert agreed.centre_mm == pytest.approx([11.5, 25.0, 25 + 1 / 3])
    assert agreed.diameter_mm == pytest.approx((6 * (16 + 0.25) * 4 / np.pi) ** (1 / 3))
    assert agreed.readers == 3
    assert agreed.counts


def test_a_candidate_in_a_nodule_is_one_beside_it_is_neither_and_far_away_is_none():
    assert kinds_of([THREE], (11.5, 50, 50), (11.5, 50, 64), (11.5, 50, 90)) == [
        Kind.NODULE,
        Kind.EXCLUDED,
        Kind.NEGATIVE,
    ]


def test_a_candidate_inside_the_outline_is_a_nodule_however_far_from_its_centre():
    long = nodule(*[reading(50, 50, heights=tuple(np.arange(2.0, 19.0))) for _ in range(3)])

    truth = judge_candidates(candidates((18.2, 52, 52), (18.2, 56, 52)), [long], IMAGES, PIXEL_MM)

    assert truth.kinds.tolist() == [Kind.NODULE, Kind.EXCLUDED]
    assert truth.nodules.tolist() == [0, -1]


def test_a_hole_is_not_inside_of_an_outline():
    ring = nodule(*[reading(50, 50, half=20, heights=(1.0,), holes=(1.0,)) for _ in range(3)])
    far_from_centre = (1.0, 50, 66)

    assert kinds_of([ring], far_from_centre) == [Kind.NODULE]
    assert kinds_of(
        [nodule(*[reading(50, 66, half=1, heights=(1.0,), holes=(1.0,)) for _ in range(3)])], (1.0, 50, 90)
    ) == [Kind.NEGATIVE]


@pytest.mark.parametrize(
    "does_not_count",
    [nodule(reading(50, 50), reading(50, 50)), nodule(*[reading(50, 50, half=1, heights=(11.0,)) for _ in range(3)])],
    ids=["two readers", "below 3 mm"],
)
def test_candidates_in_nodules_that_do_not_count_are_neither(does_not_count):
    assert kinds_of([does_not_count], (11.0, 50, 50), (11.0, 50, 90)) == [Kind.EXCLUDED, Kind.NEGATIVE]


def test_a_nodule_that_counts_wins_over_one_that_does_not():
    other = nodule(reading(52, 52))

    assert kinds_of([THREE, other], (11.5, 50, 50)) == [Kind.NODULE]
    assert kinds_of([other, THREE], (11.5, 50, 50)) == [Kind.NODULE]


def test_beside_a_reading_without_an_outline_nothing_is_known():
    unplaced = nodule(Reading("1.2.3", 3.0, Origin("csv", "a"), z_range_mm=(10.0, 13.0)))

    assert kinds_of([unplaced], (11.5, 50, 90), (15.0, 50, 90)) == [Kind.EXCLUDED, Kind.NEGATIVE]


def test_without_nodules_all_are_negative_and_without_candidates_there_are_none():
    assert kinds_of([], (11.5, 50, 50)) == [Kind.NEGATIVE]
    assert kinds_of([THREE]) == []
