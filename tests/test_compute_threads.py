import threading
from threading import Barrier, get_ident

import numpy as np
import pytest

from lidcflow.compute_threads import map_in_threads, use_threads
from lidcflow.nodules.candidates import find_candidates
from lidcflow.nodules.detector import embedded_detector
from lidcflow.nodules.segmenter import embedded_segmenter
from lidcflow.report.pictures import pictures_of
from tests.nodules.chest import chest


def both_ways(compute):
    """Return a result by one thread and by two."""
    with use_threads(2):
        by_two = compute()
    return compute(), by_two


def test_two_items_are_worked_on_at_a_time():
    together = Barrier(2, timeout=20)

    with use_threads(2):
        map_in_threads(lambda _: together.wait(), range(2))


def test_results_are_in_the_order_of_the_items():
    with use_threads(3):
        assert map_in_threads(lambda n: n * n, range(50)) == [n * n for n in range(50)]


def test_unless_asked_for_no_thread_is_started():
    assert set(map_in_threads(lambda _: get_ident(), range(4))) == {get_ident()}


def test_by_one_thread_an_item_is_made_when_its_turn_comes():
    made, seen = [], []

    def items():
        for n in range(3):
            made.append(n)
            yield n

    map_in_threads(lambda _: seen.append(len(made)), items())

    assert seen == [1, 2, 3]


def test_nothing_to_do_is_done_by_two_threads_too():
    with use_threads(2):
        assert map_in_threads(abs, []) == []


def test_a_single_item_may_use_the_threads_itself():
    together = Barrier(2, timeout=20)

    with use_threads(2):
        map_in_threads(lambda _: map_in_threads(lambda _: together.wait(), range(2)), range(1))


def test_after_the_block_no_thread_is_started():
    with use_threads(2):
        pass

    assert set(map_in_threads(lambda _: get_ident(), range(4))) == {get_ident()}


def test_a_call_in_a_thread_starts_no_more():
    def inner(_):
        return {get_ident(), *map_in_threads(lambda _: get_ident(), range(4))}

    with use_threads(2):
        used = map_in_threads(inner, range(2))

    assert [len(threads) for threads in used] == [1, 1]


def test_an_error_comes_back_and_no_thread_stays():
    def fail(n):
        raise ArithmeticError(f"item {n}")

    with use_threads(2), pytest.raises(ArithmeticError, match="item 0"):
        map_in_threads(fail, range(8))

    assert not [thread for thread in threading.enumerate() if thread.name.startswith("compute")]


def test_candidates_are_the_same_by_two_threads():
    scan = chest([((35, 50, 32), 8, 40), ((30, 60, 100), 5, -300)])

    one, two = both_ways(lambda: find_candidates(*scan))

    assert len(one.table) > 5
    assert one.table.tobytes() == two.table.tobytes()
    assert one.places.tobytes() == two.places.tobytes()


def test_networks_answer_the_same_by_two_threads():
    hu = np.random.default_rng(0).integers(-1000, 400, (50, 2, 3, 48, 48)).astype(np.int16)
    cube = np.random.default_rng(1).integers(-1000, 400, (1, 48, 48, 48)).astype(np.int16)

    for compute in (
        lambda: embedded_detector().candidate_logits(hu),
        lambda: embedded_detector().networks[0].stage_features(hu[:, 0, 0].astype(np.uint8)),
        lambda: embedded_segmenter().probabilities(cube, [0.75]),
    ):
        one, two = both_ways(compute)
        assert one.tobytes() == two.tobytes()


def test_pictures_are_the_same_by_two_threads():
    hu = np.random.default_rng(2).integers(-1000, 400, (2, 6, 32, 32)).astype(np.int16)

    one, two = both_ways(lambda: pictures_of(hu, [1, 3]))

    assert one == two
