import json
import subprocess
import sys

import numpy as np
import pytest

from lidcflow.errors import WeightsError
from lidcflow.nodules.cube_figures import cube_figures
from lidcflow.nodules.cube_file import read_cube_file
from lidcflow.nodules.segmenter import (
    CARD_FILE,
    VIEWS,
    WEIGHT_FILE,
    WEIGHTS,
    Segmenter,
    embedded_segmenter,
    read_segmenter,
    write_segmenter,
)
from lidcflow.nodules.segmenter_network import SegmenterNetwork
from lidcflow.nodules.window import windowed
from tests.nodules.outlined import brightness, random_weights

MOST_BYTES = 700_000


@pytest.fixture
def folder(tmp_path):
    write_segmenter(tmp_path, random_weights(), {"name": "of a test"})
    return tmp_path


def ball(radius):
    away = np.sqrt(((np.indices((48, 48, 48)) - 23.5) ** 2).sum(axis=0))
    return np.where(away <= radius, 100, -850).astype(np.int16)


def test_a_small_nodule_is_looked_for_in_the_middle_alone():
    found = brightness().probabilities(ball(4)[None], [0.75])[0]

    assert found.dtype == np.float32
    np.testing.assert_array_equal(found > 0.5, ball(4) > 0)
    assert found[0, 0, 0] == 0


def test_a_large_nodule_is_seen_beyond_the_middle():
    found = brightness().probabilities(ball(20)[None], [1.5])[0] > 0.5

    assert 2 * (found & (ball(20) > 0)).sum() / (found.sum() + (ball(20) > 0).sum()) > 0.95


def test_a_cube_is_seen_from_several_sides(monkeypatch):
    monkeypatch.setattr("lidcflow.nodules.segmenter.LARGE", np.inf)
    cube = np.random.default_rng(0).integers(-1000, 400, (48, 48, 48)).astype(np.int16)
    network = SegmenterNetwork(random_weights())
    grey = windowed(cube)[8:40, 8:40, 8:40]
    views = [np.flip(network(np.flip(grey, axes), 0.75), axes) for axes in VIEWS]

    found = Segmenter(network, {}, "").probabilities(cube[None], [0.75])[0, 8:40, 8:40, 8:40]

    np.testing.assert_allclose(found, np.mean([1 / (1 + np.exp(-one)) for one in views], axis=0), atol=1e-5)


@pytest.mark.parametrize(("shape", "pitches"), [((1, 40, 40, 40), 1), ((2, 48, 48, 48), 1)])
def test_cubes_of_another_shape_are_refused(shape, pitches):
    segmenter = Segmenter(SegmenterNetwork(random_weights()), {}, "")

    with pytest.raises(ValueError, match="cubes must be"):
        segmenter.probabilities(np.zeros(shape, np.int16), [1.0] * pitches)


def test_no_cubes_have_no_answers():
    segmenter = Segmenter(SegmenterNetwork(random_weights()), {}, "")

    assert segmenter.probabilities(np.empty((0, 48, 48, 48), np.int16), []).shape == (0, 48, 48, 48)


def test_the_same_weights_are_the_same_bytes(folder, tmp_path):
    first = (folder / WEIGHT_FILE).read_bytes()

    write_segmenter(tmp_path / "again", random_weights(), {"name": "of a test"})

    assert (tmp_path / "again" / WEIGHT_FILE).read_bytes() == first
    assert read_segmenter(folder).card["name"] == "of a test"


def test_a_missing_file_is_named(folder):
    (folder / WEIGHT_FILE).unlink()

    with pytest.raises(WeightsError, match=r"must be segmenter.npz with its card.*pretrain --segmenter"):
        read_segmenter(folder)


def test_weights_of_another_card_are_refused(folder):
    card = json.loads((folder / CARD_FILE).read_text())
    (folder / CARD_FILE).write_text(json.dumps({**card, "sha256": "0" * 64}))

    with pytest.raises(WeightsError, match="a card of 000000000000"):
        read_segmenter(folder)


DAMAGED = {
    "missing": (lambda one: {name: array for name, array in one.items() if name != "logits/bias"}, "logits/bias amiss"),
    "shape": (lambda one: {**one, "logits/bias": np.zeros(3, np.float32)}, r"logits/bias of shape \(3,\)"),
    "nan": (lambda one: {**one, "logits/bias": one["logits/bias"] * np.nan}, "no numbers"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_weights_are_refused(tmp_path, case):
    change, rule = DAMAGED[case]
    write_segmenter(tmp_path, change(random_weights()), {})

    with pytest.raises(WeightsError, match=rule):
        read_segmenter(tmp_path)


def test_the_embedded_segmenter_is_small_and_names_its_data():
    segmenter = embedded_segmenter()

    assert (WEIGHTS / WEIGHT_FILE).stat().st_size < MOST_BYTES
    assert "10.7937/K9/TCIA.2015.LO9QL9SX" in segmenter.card["attribution"][0]
    assert "CC BY 3.0" in segmenter.card["licence"]
    assert segmenter.card["kept_apart"]["ways"]["segmenter"]["dice"]["value"] > 0.7


def test_outlines_need_no_tensorflow():
    program = (
        "import sys, numpy as np\n"
        "from lidcflow.nodules.segmenter import embedded_segmenter\n"
        "embedded_segmenter().probabilities(np.zeros((1, 48, 48, 48), np.int16), [1.0])\n"
        "print({'tensorflow', 'keras'} & {*sys.modules})"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"


@pytest.mark.real
def test_the_card_has_the_figures_of_the_cubes_kept_apart(real_data):
    cubes = read_cube_file(real_data / "nodule-cubes" / "cubes.npz")
    segmenter = embedded_segmenter()
    apart = cubes.part(~np.isin(cubes.name, segmenter.card["trained_on"]) & (cubes.name != "307_nod1_ann0"))

    found = cube_figures(segmenter, apart).model_dump(mode="json")

    stated = segmenter.card["kept_apart"]
    assert (found["cubes"], found["scans"]) == (stated["cubes"], stated["scans"])
    assert found["ways"]["segmenter"]["dice"]["value"] == pytest.approx(
        stated["ways"]["segmenter"]["dice"]["value"], abs=1e-3
    )
