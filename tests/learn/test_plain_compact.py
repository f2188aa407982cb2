"""The compact backbone as NumPy has the features of the one in Keras."""

import hashlib

import keras
import numpy as np
import pytest

from lidcflow.config import TrainConfig
from lidcflow.learn.backbones import weight_file
from lidcflow.learn.engines import feature_error, load_engine
from lidcflow.learn.plain_compact import convolved, plain_engine

MOST_ERROR = 1e-5


def images(n, size):
    rng = np.random.default_rng(0)
    blotches = rng.uniform(0, 255, (n, size // 8, size // 8, 3)).repeat(8, axis=1).repeat(8, axis=2)
    return blotches.astype(np.float32)


@pytest.mark.parametrize(
    ("rows", "columns", "size", "stride"), [(6, 6, 3, 1), (7, 5, 3, 2), (6, 8, 3, 2), (5, 5, 1, 2)]
)
def test_a_convolution_is_that_of_keras(rows, columns, size, stride):
    rng = np.random.default_rng(1)
    maps = rng.normal(size=(2, rows, columns, 4)).astype(np.float32)
    kernel = rng.normal(size=(size, size, 4, 3)).astype(np.float32)

    found = convolved(maps, kernel, stride=stride)

    expected = keras.ops.convert_to_numpy(keras.ops.conv(maps, kernel, stride, "same"))
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("size", [32, 44])
def test_features_are_those_of_keras_and_nearly_all_of_them_the_same_as_they_are_stored(size):
    seen = images(7, 48)[:, :size, :size]
    by_keras = load_engine(TrainConfig(), size)

    plain = plain_engine(TrainConfig(), size)

    features, expected = plain.network(seen), by_keras.network(seen)
    assert plain.backbone == by_keras.backbone
    assert feature_error(features, expected) <= MOST_ERROR
    assert (features.astype(np.float16) == expected.astype(np.float16)).mean() > 0.99


def other_weights(folder, content):
    file = folder / "weights.npz"
    file.write_bytes(content)
    return TrainConfig(backbone_weights=file, backbone_sha256=hashlib.sha256(content).hexdigest())


def test_another_backbone_engine_or_precision_and_weights_of_another_kind_are_left_to_keras(tmp_path):
    shipped = weight_file(TrainConfig()).read_bytes()
    configs = [
        TrainConfig(engine="openvino"),
        TrainConfig(precision="bf16"),
        TrainConfig(mode="finetune"),
        other_weights(tmp_path, shipped[:1000]),
    ]

    assert [plain_engine(config, 32) for config in configs] == [None] * len(configs)
