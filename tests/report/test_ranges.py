import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lidcflow.config import InferConfig
from lidcflow.pixels.noticed import PixelFaults
from lidcflow.report.ranges import is_selected_as, ranges_above


def spans(answer):
    return [(one.first_slice, one.last_slice, one.findings) for one in answer.ranges]


def test_neighbours_at_or_above_the_threshold_join():
    assert ranges_above(np.array([0.5, 0.9, 0.4, 0.5]), 0.5) == [range(0, 2), range(3, 4)]


def test_nothing_above_is_no_range_and_everything_is_one():
    assert ranges_above(np.array([0.1, 0.2]), 0.5) == []
    assert ranges_above(np.array([0.1, 0.2]), 0.0) == [range(0, 2)]


def test_ranges_with_findings_come_first_by_their_best_finding(study, findings):
    assert spans(study(findings=findings)) == [(7, 7, (1,)), (2, 5, (2,))]
    assert spans(study(findings=findings[:1])) == [(7, 7, (1,)), (3, 5, ())]


def test_a_finding_below_the_threshold_of_slices_is_recommended_all_the_same(study, finding):
    answer = study(*[0.1] * 8, findings=[finding(1, 6)])

    assert (answer.verdict, spans(answer)) == ("ranges", [(6, 6, (1,))])


def test_a_finding_in_a_blank_slice_is_recommended_and_the_slice_stays_unread(study, finding):
    answer = study(*[0.1] * 8, findings=[finding(1, 6)], noticed=PixelFaults(blank_slabs=(5,)))

    assert spans(answer) == [(6, 6, (1,))]
    assert (answer.slices[5].blank, answer.ranges[0].nodule_at_peak) == (True, 0.0)


def test_two_findings_of_one_slice_are_in_one_range_the_best_first(study, finding):
    answer = study(*[0.1] * 8, findings=[finding(1, 6), finding(2, 6)])

    assert spans(answer) == [(6, 6, (1, 2))]
    assert [one.rank for one in answer.findings_in(answer.ranges[0])] == [1, 2]


def test_a_chest_above_the_threshold_is_narrowed_around_its_findings(study, finding):
    findings = [finding(1, 40, 65), finding(2, 12, 65), finding(3, 60, 65)]

    answer = study(*np.linspace(0.9, 0.99, 65), findings=findings)

    assert spans(answer) == [(40, 43, (1,)), (12, 14, (2,)), (60, 62, (3,))]
    assert (answer.ranges_left_out, answer.slices_left_out) == (0, 55)


def test_slices_that_a_finding_reaches_into_widen_its_range_before_likelier_ones(study, finding):
    mass = finding(1, 5, 65, z_mm=-41.0, diameter_mm=20.0)

    answer = study(*np.linspace(0.9, 0.99, 65), findings=[mass], slices=3)

    assert spans(answer) == [(4, 6, (1,))]


def test_a_long_range_without_findings_is_narrowed_around_its_peak(study):
    nodule = np.full(65, 0.6)
    nodule[30] = 0.9
    nodule[31:36] = 0.8

    answer = study(*nodule, slices=4)

    assert spans(answer) == [(31, 34, ())]
    assert (answer.ranges[0].peak_slice, answer.ranges_left_out, answer.slices_left_out) == (31, 0, 61)


def test_ranges_that_the_budget_leaves_out_are_counted_and_so_are_their_slices(study):
    answer = study(0.9, 0.0, 0.8, 0.8, 0.0, 0.7, 0.7, 0.7, slices=2)

    assert [(one.first_slice, one.last_slice) for one in answer.ranges] == [(1, 1), (3, 3)]
    assert (answer.ranges_left_out, answer.slices_left_out) == (1, 4)


def test_findings_beyond_the_budget_stay_in_the_list_without_a_range(study, finding):
    findings = [finding(1, 1), finding(2, 3), finding(3, 5)]

    answer = study(*[0.1] * 8, findings=findings, slices=2)

    assert spans(answer) == [(1, 1, (1,)), (3, 3, (2,))]
    assert (len(answer.findings), answer.ranges_left_out, answer.slices_left_out) == (3, 1, 1)


@given(
    nodule=st.lists(st.floats(0, 1), min_size=8, max_size=8),
    at=st.lists(st.integers(1, 8), max_size=12),
    slices=st.integers(1, 12),
    ranges=st.integers(1, 12),
)
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_answer_keeps_its_budget_and_names_what_it_holds(study, finding, nodule, at, slices, ranges):
    findings = [finding(rank, k, probability=0.5) for rank, k in enumerate(at, start=1)]

    answer = study(*nodule, findings=findings, slices=slices, ranges=ranges)

    inside = [n for one in answer.ranges for n in range(one.first_slice, one.last_slice + 1)]
    wanted = {one.slice_number for one in answer.slices if one.probabilities.nodule >= 0.5} | set(at)
    assert len(set(inside)) == len(inside) <= slices
    assert len(answer.ranges) <= ranges
    assert set(inside) <= wanted
    assert answer.slices_left_out == len(wanted) - len(inside)
    assert [rank for one in answer.ranges for rank in sorted(one.findings)] == [
        rank for one in answer.ranges for rank, k in enumerate(at, start=1) if one.first_slice <= k <= one.last_slice
    ]
    with_findings = [bool(one.findings) for one in answer.ranges]
    assert with_findings == sorted(with_findings, reverse=True)
    assert not at or answer.ranges[0].findings[0] == 1


def test_an_answer_is_that_of_its_settings_and_of_those_that_change_nothing(study, findings):
    answer = study(findings=findings)

    assert is_selected_as(answer, InferConfig())
    assert is_selected_as(answer, InferConfig(slices=5))
    assert not is_selected_as(answer, InferConfig(slices=4))
    assert not is_selected_as(answer, InferConfig(ranges=1))


@pytest.mark.parametrize("setting", ["slices", "ranges"])
def test_a_budget_of_nothing_is_refused(setting):
    with pytest.raises(ValueError, match=setting):
        InferConfig(**{setting: 0})
