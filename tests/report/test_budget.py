from hypothesis import given
from hypothesis import strategies as st

from lidcflow.report.budget import choose_slices, runs_of

FALLING = list(range(20))
"""An order in which the upper of two neighbours comes first."""


def test_a_budget_that_is_large_enough_takes_every_eligible_slice():
    assert choose_slices([2, 7], {1, 2, 3, 7}, FALLING, slices=10, ranges=10) == [range(1, 4), range(7, 8)]


def test_a_long_range_is_narrowed_before_another_is_left_out():
    chosen = choose_slices([5, 15], {*range(10), 15}, FALLING, slices=4, ranges=10)

    assert chosen == [range(3, 6), range(15, 16)]


def test_places_of_one_long_run_are_shown_as_ranges_of_their_own():
    chosen = choose_slices([1, 10, 18], range(20), FALLING, slices=6, ranges=10)

    assert chosen == [range(2), range(9, 11), range(17, 19)]


def test_ranges_are_widened_in_turn_the_best_first():
    chosen = choose_slices([10, 2], range(20), FALLING, slices=5, ranges=10)

    assert chosen == [range(1, 3), range(8, 11)]


def test_of_two_neighbours_the_one_that_comes_first_in_the_order_widens_a_range():
    assert choose_slices([3], range(6), [5, 4, 3, 2, 1, 0], slices=3, ranges=1) == [range(3, 6)]


def test_places_beyond_the_most_ranges_are_left_out_unless_they_touch_one():
    assert choose_slices([3, 9, 4], {3, 4, 9}, FALLING, slices=10, ranges=1) == [range(3, 5)]


def test_places_beyond_the_budget_are_left_out():
    assert choose_slices([9, 3, 6], {3, 6, 9}, FALLING, slices=2, ranges=10) == [range(3, 4), range(9, 10)]


def test_without_a_place_nothing_is_chosen():
    assert choose_slices([], set(), FALLING, slices=10, ranges=10) == []


@given(
    eligible=st.sets(st.integers(0, 19), max_size=20),
    slices=st.integers(1, 25),
    ranges=st.integers(1, 12),
    data=st.data(),
)
def test_no_budget_is_exceeded_and_what_can_be_used_of_it_is(eligible, slices, ranges, data):
    seeds = data.draw(st.lists(st.sampled_from(sorted(eligible)), unique=True)) if eligible else []

    chosen = choose_slices(seeds, eligible, FALLING, slices=slices, ranges=ranges)

    shown = {k for run in chosen for k in run}
    assert shown <= eligible
    assert len(shown) <= slices
    assert len(chosen) <= ranges
    assert chosen == runs_of(shown)
    assert not seeds or seeds[0] in shown
    beside = {k for run in chosen for k in (run.start - 1, run.stop)} & eligible
    assert len(shown) == slices or not beside
