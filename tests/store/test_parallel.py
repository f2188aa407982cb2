"""Reading side by side, a few ahead."""

import threading
import time

import pytest

from lidcflow.store.parallel import AtOnce, side_by_side


def test_no_more_is_read_ahead_than_the_readers_hold():
    begun = []

    found = side_by_side(lambda item: begun.append(item) or item, range(1000), AtOnce(readers=2, page=5))
    first = next(found)
    time.sleep(0.1)

    assert first == 0
    assert len(begun) <= 25
    found.close()


def test_things_are_read_side_by_side():
    together = threading.Barrier(3, timeout=10)

    assert list(side_by_side(lambda _: together.wait() >= 0, range(3), AtOnce(readers=3))) == [True] * 3


def test_an_error_is_raised_in_the_place_of_its_item():
    found = side_by_side(lambda item: 1 // item, [1, 1, 0], AtOnce(readers=2))

    assert (next(found), next(found)) == (1, 1)
    with pytest.raises(ZeroDivisionError):
        next(found)
