import numpy as np
import pytest

from lidcflow.learn import own_segmenter
from lidcflow.learn.kept_model import FACTS
from lidcflow.learn.nodule_rows import find_nodules
from lidcflow.learn.own_outline_choice import choose_segmenter, score_outline
from lidcflow.learn.own_outlines import JudgedNodule, judged_nodules, outlined_rows, read_outlined
from lidcflow.learn.own_segmenter import best_shift, find_own_segmenter, fit_own_segmenter, why_no_segmenter
from lidcflow.nodules.cubes import CUBE_MM, CUBE_VOXELS
from lidcflow.nodules.segmenter import SHAPES, Segmenter, embedded_segmenter, read_segmenter
from tests.labelled_candidates import cubes, labelled_candidates


class Balls:
    """A segmenter that outlines a ball of one diameter in the middle."""

    def __init__(self, diameter_mm):
        self.diameter_mm = diameter_mm

    def probabilities(self, hu, _voxel_mm):
        return (cubes([self.diameter_mm] * len(hu), np.random.default_rng(0)) > 0).astype(np.float32)


class Empty:
    def probabilities(self, hu, _voxel_mm):
        return np.zeros(hu.shape, np.float32)


def nodule(key, diameter_mm):
    hu = cubes([diameter_mm], np.random.default_rng(1))[0]
    return JudgedNodule(key, hu, CUBE_MM[0], hu > 0)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Return a store, and the rows of the nodules that its cubes show."""
    snapshot, store, nodules = labelled_candidates(tmp_path_factory.mktemp("workspace"))
    return store, find_nodules(snapshot, store, nodules)


def unchanged(cubes, start, *, steps, seed, on_progress):
    """Return the weights that a training would start from: what is tested here is what lies around it."""
    on_progress(steps, steps)
    return start


def test_outlines_are_scored_by_the_readers_mask():
    exact, larger, none = (score_outline(one, nodule("a", 9.0)) for one in (Balls(9.0), Balls(12.0), Empty()))

    assert (exact.dice, exact.long_axis_error_mm) == (1.0, 0.0)
    assert larger.dice == pytest.approx(2 * 9**3 / (9**3 + 12**3), abs=0.03)
    assert larger.long_axis_error_mm == pytest.approx(3.0, abs=0.8)
    assert none.dice == 0.0
    assert none.long_axis_error_mm == pytest.approx(9.0, abs=0.8)


@pytest.mark.parametrize(
    ("own", "embedded", "better"), [(9.0, 12.0, True), (12.0, 9.0, False), (9.0, 9.0, False)], ids=str
)
def test_a_segmenter_is_chosen_only_if_its_dice_is_surely_higher(own, embedded, better):
    validation = [nodule(str(i), 8.5 + 0.1 * i) for i in range(8)]

    choice = choose_segmenter(Balls(own), Balls(embedded), validation, seed=0)

    assert choice.own is better
    assert "on 8 nodules of 8 validation patients: Dice" in choice.reason
    assert ((choice.figures["dice_difference"].value or 0) > 0) is better


def test_too_few_outlines_are_told_with_what_is_needed(found):
    _, rows = found

    assert "needs 30 nodules of training patients that three readers outlined" in why_no_segmenter(rows)


def test_readings_without_outlines_are_told_as_such(found):
    _, rows = found
    none = type(rows)(rows.table[:0], rows.masks[:0], rows.left_out | {"without_outline": 7})

    assert why_no_segmenter(none) == (
        "the readings have no outlines (7 nodules without one), which a segmenter learns from"
    )


def test_cubes_come_with_their_masks(found):
    store, rows = found
    chosen = outlined_rows(rows, "train")

    read = read_outlined(chosen, rows, store, seed=0)

    for cube, one in zip(read, judged_nodules(chosen, rows, store), strict=True):
        assert cube.voxel_mm == one.voxel_mm
        assert (cube.mask == one.mask).all()
        assert cube.grey[CUBE_VOXELS // 2, CUBE_VOXELS // 2, CUBE_VOXELS // 2] > 150


def test_a_trained_segmenter_is_kept_with_figures_and_found_again(found, tmp_path, monkeypatch):
    store, rows = found
    monkeypatch.setattr(own_segmenter, "SHIFT_CUBES", 2)
    stages = []

    made = fit_own_segmenter(
        rows, store, tmp_path / "own", unchanged, steps=3, seed=1, on_progress=lambda *told: stages.append(told)
    )
    again = fit_own_segmenter(rows, store, tmp_path / "own", None, steps=3, seed=1)

    assert made.facts == again.facts
    assert made.segmenter.sha256 == again.segmenter.sha256 == read_segmenter(tmp_path / "own").sha256
    assert made.facts.counts["validation_nodules"] == len(outlined_rows(rows, "validation"))
    assert {"dice", "dice_embedded", "dice_difference", "long_axis_error_mm"} <= made.facts.choice.figures.keys()
    assert made.segmenter.card["training"]["embedded"] == embedded_segmenter().sha256
    assert stages[-1] == ("steps", 3, 3)


def test_a_kept_segmenter_that_changed_is_none(found, tmp_path, monkeypatch):
    store, rows = found
    monkeypatch.setattr(own_segmenter, "SHIFT_CUBES", 1)
    fit_own_segmenter(rows, store, tmp_path / "own", unchanged, steps=1, seed=1)
    (tmp_path / "own" / FACTS).write_text("{}")

    assert find_own_segmenter(tmp_path / "own") is None


def test_the_shift_that_outlines_best_is_kept():
    weights = embedded_segmenter().network.weights
    low = {**weights, "logits/bias": weights["logits/bias"] - np.float32(0.5)}

    shift, shifted = best_shift(low, [nodule("a", 8.0)])

    assert shift in own_segmenter.SHIFTS
    np.testing.assert_allclose(shifted["logits/bias"], low["logits/bias"] + shift)
    assert shifted.keys() == {f"{name}/{part}" for name in SHAPES for part in ("kernel", "bias")}
    assert isinstance(embedded_segmenter(), Segmenter)
