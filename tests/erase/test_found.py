"""What several tries of an erasure found."""

from lidcflow.erase.found import merge_found, total


def test_an_item_counts_once_with_the_most_that_was_found_of_it():
    first = {"reports": {"1.2": 3, "1.3": 1}}
    second = {"reports": {"1.2": 2, "1.4": 0}, "volumes": {"1.2": 5}}

    both = {"reports": {"1.2": 3, "1.3": 1, "1.4": 0}, "volumes": {"1.2": 5}}
    assert merge_found(first, second) == merge_found(second, first) == both
    assert merge_found() == {}


def test_what_was_found_in_a_place_adds_up():
    assert total({"reports": {"1.2": 3, "1.3": 1}}, "reports") == 4
    assert total({"reports": {"1.2": 3}}, "volumes") == 0
