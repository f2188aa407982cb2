"""A backbone of one's own in ONNX: computed as described, refused with a way out where it does not fit."""

import subprocess
import sys

import numpy as np
import pytest
from pydantic import ValidationError

from lidcflow.config import TrainConfig
from lidcflow.errors import EngineError, WeightsError
from lidcflow.files import digest_of_file
from lidcflow.learn import engines
from lidcflow.learn.backbones import describe_backbone
from lidcflow.learn.engines import load_engine
from tests.learn.onnx_files import write_mean_network

SIZE = 32

IMAGES = {"features": 3, "scale": 1 / 255, "mean": (0.5, 0.0, 0.0), "std": (0.5, 1.0, 2.0), "layout": "channels-first"}


@pytest.fixture
def config(tmp_path):
    """Return a function that describes a network which averages each plane."""
    pytest.importorskip("openvino")

    def of(file=None, sha256=None, **images):
        file = file or write_mean_network(tmp_path / "net.onnx")
        return TrainConfig(
            backbone="onnx",
            engine="openvino",
            backbone_weights=file,
            backbone_sha256=sha256 or digest_of_file(file),
            images=IMAGES | images,
        )

    return of


def planes(*levels):
    return np.broadcast_to(np.array(levels, np.float32), (2, SIZE, SIZE, 3))


def test_images_are_prepared_as_described_and_averaged_by_the_network(config):
    engine = load_engine(config(), SIZE)

    np.testing.assert_allclose(engine.network(planes(255, 0, 51)), [[1.0, 0.0, 0.1]] * 2, atol=1e-5)
    assert (engine.backbone.kind, engine.backbone.feature_dim, engine.error) == ("onnx", 3, 0.0)


def test_features_are_named_by_the_digests_of_file_and_description(config):
    one, other = describe_backbone(config(), SIZE), describe_backbone(config(planes="bgr"), SIZE)

    assert one.id.startswith(f"onnx-{one.digest[:12]}-projections-32-images-")
    assert one.id != other.id
    assert one.digest == other.digest


@pytest.mark.parametrize(
    ("shape", "images", "sentence"),
    [
        (("n", 3, 64, 64), {}, "must take images of (n, 3, 32, 32), got [?,3,64,64]; set preprocess.size"),
        (("n", 3, 32, 32), {"features": 7}, "must make (n, 7) features of any number n of images"),
        ((1, 3, 32, 32), {}, "must make (n, 3) features of any number n of images"),
        (("n", 3, 32, 32), {"layout": "channels-last"}, "must take images of (n, 32, 32, 3)"),
    ],
)
def test_other_shapes_are_refused_with_a_way_out(config, tmp_path, shape, images, sentence):
    file = write_mean_network(tmp_path / "other.onnx", shape)

    with pytest.raises(WeightsError) as error:
        load_engine(config(file, **images), SIZE)

    assert sentence in str(error.value)


def test_a_file_that_is_no_network_is_refused(config, tmp_path):
    file = tmp_path / "notes.onnx"
    file.write_bytes(b"no network")

    with pytest.raises(WeightsError, match=r"notes\.onnx: must be an ONNX network with its weights inside"):
        load_engine(config(file), SIZE)


def test_another_file_than_the_one_that_was_asked_for_is_refused(config):
    with pytest.raises(WeightsError, match=f"SHA-256 must be {'0' * 64}, got"):
        describe_backbone(config(sha256="0" * 64), SIZE)


def test_a_missing_file_and_a_missing_digest_are_named_with_what_to_set(config, tmp_path):
    whole = config()
    without = whole.model_copy(update={"backbone_weights": None, "backbone_sha256": None})
    gone = whole.model_copy(update={"backbone_weights": tmp_path / "gone.onnx"})
    undigested = whole.model_copy(update={"backbone_sha256": None})

    for config_of, sentence in (
        (without, "must have its file in train.backbone_weights, got none"),
        (gone, "the file must exist; check train.backbone_weights"),
        (undigested, f"train.backbone_sha256 must be set .* the file's is {whole.backbone_sha256}"),
    ):
        with pytest.raises(WeightsError, match=sentence):
            describe_backbone(config_of, SIZE)


def test_without_openvino_the_extra_is_named(config, monkeypatch):
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda _: None)

    with pytest.raises(EngineError, match=r"pip install 'lidcflow\[openvino\]'"):
        load_engine(config(), SIZE)


def test_an_onnx_network_is_computed_without_keras(config):
    program = (
        "import sys; from pathlib import Path; from lidcflow.config import TrainConfig; "
        "from lidcflow.learn.engines import load_engine; "
        "load_engine(TrainConfig.model_validate_json(sys.argv[1]), 32); print('keras' in sys.modules)"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, config().model_dump_json()], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"backbone": "onnx", "images": IMAGES}, "train.engine must be openvino"),
        ({"backbone": "onnx", "engine": "openvino"}, "train.images must be there for the backbones keras and onnx"),
        ({"images": IMAGES}, "delete [train.images]"),
        ({"backbone": "keras", "images": IMAGES, "precision": "bf16"}, "train.precision must be fp32"),
        ({"backbone": "keras", "images": IMAGES, "mode": "finetune"}, 'set train.mode = "frozen"'),
        ({"backbone": "keras", "images": IMAGES | {"std": (1, 0, 1)}}, "train.images.std must be above 0"),
    ],
)
def test_settings_that_do_not_fit_each_other_are_refused_with_a_way_out(settings, sentence):
    with pytest.raises(ValidationError) as error:
        TrainConfig(**settings)

    assert sentence in str(error.value)
