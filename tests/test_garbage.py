"""Imports are not looked through by the garbage collector."""

import gc

import pytest

from lidcflow.garbage import uncollected


@pytest.fixture
def thawed():
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("thawed")
def test_a_block_is_run_without_collections_and_what_it_leaves_is_exempt_from_later_ones():
    before = gc.get_freeze_count()

    with uncollected():
        inside = gc.isenabled()

    assert (inside, gc.isenabled()) == (False, True)
    assert gc.get_freeze_count() > before


@pytest.mark.usefixtures("thawed")
def test_collections_go_on_after_an_import_that_fails():
    with pytest.raises(ModuleNotFoundError), uncollected():
        raise ModuleNotFoundError

    assert gc.isenabled()


@pytest.mark.usefixtures("thawed")
def test_a_process_that_collects_nothing_is_left_so():
    gc.disable()
    try:
        with uncollected():
            pass

        assert not gc.isenabled()
    finally:
        gc.enable()
