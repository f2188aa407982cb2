from dataclasses import replace

import numpy as np
import pytest

from lidcflow.nodules.select import MOST_FINDINGS, select_findings
from lidcflow.nodules.table import CANDIDATE, GROUND_GLASS, MASS, SOLID
from tests.nodules.small_record import small_record


@pytest.fixture
def record():
    return small_record()


def candidates(*z_mm):
    table = np.zeros(len(z_mm), CANDIDATE)
    table["z_mm"], table["row"], table["column"], table["diameter_mm"] = z_mm, 20, 40, 6
    table["source"] = [round((37.5 - one) / 5) for one in z_mm]
    return table


def test_findings_are_the_candidates_above_the_threshold_best_first(record):
    found = select_findings(candidates(35.0, 25.0, 15.0), np.array([0.5, 0.4, 0.9]), record, threshold=0.5)

    assert [(one.rank, one.z_mm, one.probability) for one in found] == [(1, 15.0, 0.9), (2, 35.0, 0.5)]


def test_a_finding_names_its_image_its_slice_and_where_it_is_in_the_patient(record):
    (one,) = select_findings(candidates(22.5), np.array([0.9]), record, threshold=0.5)

    assert (one.sop_instance_uid, one.instance_number, one.slice_number) == ("1.2.3", 4, 2)
    assert (one.row, one.column, one.diameter_mm, one.channel) == (20.0, 40.0, 6.0, "solid")
    assert (one.x_mm, one.y_mm) == (-100 + 40 * 0.25, -90 + 20 * 0.5)


@pytest.mark.parametrize(("z_mm", "number"), [(40.0, 1), (30.0, 2), (29.9, 2), (0.1, 4), (0.0, 4)])
def test_edges_belong_to_the_slice_below_and_the_last_one_to_the_last(record, z_mm, number):
    table = candidates(20.0)
    table["z_mm"] = z_mm

    (one,) = select_findings(table, np.array([0.9]), record, threshold=0.5)

    assert one.slice_number == number


def test_a_finding_names_the_filter_that_found_it(record):
    table = candidates(35.0, 25.0, 15.0)
    table["channel"] = SOLID, GROUND_GLASS, MASS

    found = select_findings(table, np.array([0.9, 0.8, 0.7]), record, threshold=0.5)

    assert [one.channel for one in found] == ["solid", "ground-glass", "mass"]


def test_a_candidate_without_a_size_is_still_a_finding(record):
    table = candidates(35.0)
    table["diameter_mm"] = 0

    assert select_findings(table, np.array([0.9]), record, threshold=0.5)[0].diameter_mm == 0.1


def test_a_candidate_that_a_better_one_covers_is_a_part_of_its_finding(record):
    table = candidates(25.0, 25.0, 25.0)
    table["diameter_mm"], table["row"] = (20, 6, 6), (20, 40, 60)  # 10 and 20 mm from the first

    found = select_findings(table, np.array([0.9, 0.8, 0.7]), record, threshold=0.5)

    assert [(one.rank, one.row) for one in found] == [(1, 20.0), (2, 60.0)]


def test_a_series_without_candidates_has_no_findings(record):
    assert select_findings(candidates(), np.empty(0), record, threshold=0.5) == ()


def test_candidates_beyond_the_slices_are_no_findings(record):
    table = candidates(20.0, 20.0)
    table["z_mm"] = 40.1, -0.1

    assert select_findings(table, np.array([0.9, 0.9]), record, threshold=0.5) == ()


def test_no_finding_is_certain_and_there_are_at_most_ten(record):
    table = candidates(*[25.0] * 12)
    table["column"] = 20 * np.arange(12)

    found = select_findings(table, np.ones(12), record, threshold=0.5)

    assert len(found) == MOST_FINDINGS == 10
    assert {one.probability for one in found} == {0.999}


def test_volumes_without_the_place_of_their_pixels_give_findings_without_x_and_y(record):
    (one,) = select_findings(candidates(25.0), np.array([0.9]), replace(record, axes=None), threshold=0.5)

    assert (one.x_mm, one.y_mm, one.row) == (None, None, 20.0)
