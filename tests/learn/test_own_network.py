"""A backbone of one's own in a .keras file: plain layers, loaded in safe mode, its images prepared as described."""

import keras
import numpy as np
import pytest

from lidcflow.config import TrainConfig
from lidcflow.config.science import ImagesConfig
from lidcflow.errors import WeightsError
from lidcflow.files import digest_of_file
from lidcflow.learn.engines import load_engine
from lidcflow.learn.own_network import load_own_network

SIZE = 16

IMAGES = ImagesConfig(features=3, scale=1 / 255, mean=(0.5, 0.0, 0.0), std=(0.5, 1.0, 2.0), planes="bgr")


def network(*layers, size=SIZE):
    inputs = keras.Input((size, size, 3))
    outputs = inputs
    for layer in layers:
        outputs = layer(outputs)
    return keras.Model(inputs, outputs)


@pytest.fixture
def saved(tmp_path):
    """Return a function that saves a network, by default one that averages each plane."""

    def save(model=None):
        file = tmp_path / "net.keras"
        (model or network(keras.layers.GlobalAveragePooling2D())).save(file)
        return file

    return save


def test_images_are_prepared_as_described(saved):
    model = load_own_network(saved(), SIZE, IMAGES)

    planes = np.broadcast_to(np.array([51, 0, 255], np.float32), (2, SIZE, SIZE, 3))
    np.testing.assert_allclose(model.predict_on_batch(planes), [[1.0, 0.0, 0.1]] * 2, atol=1e-5)


def test_planes_may_come_first(saved):
    inputs = keras.Input((3, SIZE, SIZE))
    first = keras.Model(inputs, keras.layers.GlobalAveragePooling2D(data_format="channels_first")(inputs))
    images = IMAGES.model_copy(update={"layout": "channels-first"})

    model = load_own_network(saved(first), SIZE, images)

    planes = np.broadcast_to(np.array([51, 0, 255], np.float32), (1, SIZE, SIZE, 3))
    np.testing.assert_allclose(model.predict_on_batch(planes), [[1.0, 0.0, 0.1]], atol=1e-5)


def test_it_computes_features_like_any_other_backbone(saved):
    file = saved()
    config = TrainConfig(backbone="keras", backbone_weights=file, backbone_sha256=digest_of_file(file), images=IMAGES)

    engine = load_engine(config, SIZE)

    assert engine.network(np.zeros((2, SIZE, SIZE, 3), np.float32)).shape == (2, 3)
    assert engine.backbone.id.startswith(f"keras-{digest_of_file(file)[:12]}-projections-16-images-")


def test_a_network_with_code_in_it_is_refused(saved):
    file = saved(network(keras.layers.Lambda(lambda x: x), keras.layers.GlobalAveragePooling2D()))

    with pytest.raises(WeightsError, match=r"must be a network of plain layers.*without Lambda and custom ones"):
        load_own_network(file, SIZE, IMAGES)


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (lambda: network(keras.layers.GlobalAveragePooling2D(), size=8), r"must take images of \(None, 16, 16, 3\)"),
        (lambda: network(keras.layers.Conv2D(3, 3)), r"must make \(None, 3\) features.*put a global pooling layer"),
        (lambda: network(keras.layers.Flatten()), r"must make \(None, 3\) features, got \(None, 768\)"),
    ],
)
def test_other_shapes_are_refused_with_a_way_out(saved, model, sentence):
    with pytest.raises(WeightsError, match=sentence):
        load_own_network(saved(model()), SIZE, IMAGES)
