import json
import shutil

import numpy as np
import pytest

from lidcflow.errors import WeightsError
from lidcflow.nodules.malignancy import SIZE, WEIGHTS, embedded_malignancy, read_malignancy
from lidcflow.nodules.outline import outline_of


def cube_with_ball(diameter_mm, hu=0, *, voxel_mm=0.75):
    z, row, column = (np.indices((48, 48, 48)) - 23.5) * voxel_mm
    away = np.sqrt(z**2 + row**2 + column**2)
    return np.where(away <= diameter_mm / 2, hu, -850).astype(np.int16)


def test_a_large_ball_is_more_probably_malignant_than_a_small_one():
    model = embedded_malignancy()

    small, large = (model.answer(cube_with_ball(size), 0.75, None, size).probability for size in (5.0, 18.0))

    assert 0 <= small < 0.5 < large <= 1


def test_a_nodule_larger_than_those_trained_on_is_outside_by_its_size():
    model = embedded_malignancy()
    cube = cube_with_ball(50.0, voxel_mm=1.5)

    assert SIZE in model.answer(cube, 1.5, None, 50.0).outside
    assert SIZE not in model.answer(cube_with_ball(10.0), 0.75, None, 10.0).outside


def test_the_slice_that_the_outline_names_is_read():
    model, cube = embedded_malignancy(), cube_with_ball(14.0)
    outline = outline_of((cube > -400).astype(np.float32), 0.75)
    moved = np.roll(cube, outline.middle - 24, axis=0)

    assert model.answer(cube, 0.75, outline, 14.0) == model.answer(moved, 0.75, outline, 14.0)


def test_the_card_names_target_attribution_and_figures():
    card = embedded_malignancy().card

    assert "3 or more" in card["target"]
    assert any("10.7937/K9/TCIA.2015.LO9QL9SX" in line and "CC BY 3.0" in line for line in card["attribution"])
    reached = {one["design"]: one["auroc"]["value"] for one in card["figures"]}
    assert reached["S12 vs S45"] >= 0.96
    above = {one["design"]: one["above_size"]["area_diameter_mm"] for one in card["figures"]}
    assert above["S12 vs S45"]["low"] > 0


@pytest.mark.parametrize("harm", ["absent", "weights", "card"])
def test_damaged_files_are_named_with_a_way_out(tmp_path, harm):
    for name in ("malignancy.npz", "malignancy.json"):
        shutil.copy(WEIGHTS / name, tmp_path / name)
    if harm == "absent":
        (tmp_path / "malignancy.npz").unlink()
    elif harm == "weights":
        (tmp_path / "malignancy.npz").write_bytes(b"nothing")
    else:
        card = json.loads((tmp_path / "malignancy.json").read_text())
        (tmp_path / "malignancy.json").write_text(json.dumps({**card, "ranges": {}}))

    with pytest.raises(WeightsError, match="lidcflow pretrain --malignancy"):
        read_malignancy(tmp_path)
