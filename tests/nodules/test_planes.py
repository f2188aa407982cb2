import numpy as np
import pytest

from lidcflow.nodules.finding import Finding
from lidcflow.nodules.planes import finding_planes
from lidcflow.nodules.stored import StoredCandidates
from lidcflow.nodules.table import CANDIDATE


def finding(rank, **place):
    fields = {"probability": 0.9, "channel": "solid", "diameter_mm": 6.0, "slice_number": 1, "instance_number": 1}
    return Finding(rank=rank, sop_instance_uid="1.2.3", **{**fields, **place})


@pytest.fixture
def stored():
    """Three candidates whose narrow patches hold 0, 1, 2, and whose wide ones hold 100, 101, 102."""
    table = np.zeros(3, CANDIDATE)
    table["z_mm"], table["row"], table["column"] = (-10.12345, -20, -30), (1.234, 2, 3), (7, 8, 9)
    values = np.arange(3, dtype=np.int16)[:, None] + np.array([0, 100], np.int16)
    patches = np.broadcast_to(values[:, :, None, None, None], (3, 2, 3, 48, 48))
    return StoredCandidates(table, patches, ("1.2.3",) * 3, ())


def test_a_finding_has_the_planes_of_its_candidate(stored):
    first, second = finding(1, z_mm=-30.0, row=3.0, column=9.0), finding(2, z_mm=-10.1235, row=1.23, column=7.0)

    planes = finding_planes([first, second], stored)

    assert {rank: int(one[0, 0, 0]) for rank, one in planes.items()} == {1: 2, 2: 0}
    assert planes[1].shape == (3, 48, 48)


def test_a_large_finding_has_the_wide_planes(stored):
    planes = finding_planes([finding(1, z_mm=-20.0, row=2.0, column=8.0, diameter_mm=25.0)], stored)

    assert planes[1].max() == 101


def test_a_finding_whose_candidate_is_gone_has_no_planes(stored):
    assert finding_planes([finding(1, z_mm=-20.0, row=2.5, column=8.0)], stored) == {}
    assert finding_planes([finding(1, z_mm=-20.0, row=2.0, column=8.0)], None) == {}
