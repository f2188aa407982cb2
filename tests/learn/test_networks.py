"""Backbones as networks of Keras, loaded from their weight files."""

import zipfile

import keras
import numpy as np
import pytest

from lidcflow.config import TrainConfig
from lidcflow.errors import WeightsError
from lidcflow.learn.networks import load_backbone

SHIPPED = TrainConfig()


@pytest.fixture(scope="module")
def resnet50():
    """Return Keras' own network, with random weights; to make it takes 3 s."""
    return keras.applications.ResNet50(include_top=False, weights=None, input_shape=(32, 32, 3))


@pytest.fixture(scope="module")
def resnet50_file(resnet50, tmp_path_factory):
    """Weights as Keras publishes them, save that they are random."""
    file = tmp_path_factory.mktemp("weights") / "resnet50.weights.h5"
    resnet50.save_weights(file)
    return file


def test_loading_the_shipped_backbone_twice_gives_the_same_network():
    first, _ = load_backbone(SHIPPED, 64)
    second, backbone = load_backbone(SHIPPED, 64)

    assert first is second
    assert first.output_shape == (None, backbone.feature_dim)
    assert not first.trainable_variables


def test_a_weight_file_of_another_network_is_refused(tmp_path):
    np.savez(tmp_path / "other.npz", kernel=np.zeros(3))

    with pytest.raises(WeightsError, match="must hold the weights of the compact backbone"):
        load_backbone(TrainConfig(backbone_weights=tmp_path / "other.npz"), 32)


def test_a_missing_weight_file_names_the_setting(tmp_path):
    with pytest.raises(WeightsError, match=r"the file must exist; check train\.backbone_weights"):
        load_backbone(TrainConfig(backbone="resnet50", backbone_weights=tmp_path / "none.h5"), 32)


def test_imagenet_weights_that_cant_be_had_are_an_error_with_two_ways_out(tmp_path, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path))
    monkeypatch.setattr("keras.config.keras_home", lambda: str(tmp_path), raising=False)

    with pytest.raises(WeightsError, match=r'set train\.backbone_weights, or use train\.backbone = "compact"'):
        load_backbone(TrainConfig(backbone="resnet50"), 32)


def test_resnet50_sees_images_as_keras_prepares_them(resnet50, resnet50_file, images):
    prepared = keras.applications.resnet50.preprocess_input(images.copy())
    expected = np.asarray(resnet50(prepared, training=False)).mean(axis=(1, 2))

    model, backbone = load_backbone(TrainConfig(backbone="resnet50", backbone_weights=resnet50_file), 32)

    np.testing.assert_allclose(model.predict_on_batch(images), expected, rtol=1e-4, atol=1e-4)
    assert backbone.feature_dim == 2048


def test_a_file_that_is_no_resnet50_is_refused(tmp_path):
    (tmp_path / "broken.h5").write_bytes(b"not HDF5")

    with pytest.raises(WeightsError, match="must hold Keras' ResNet-50 without top"):
        load_backbone(TrainConfig(backbone="resnet50", backbone_weights=tmp_path / "broken.h5"), 32)


def test_weights_that_unpack_to_more_than_a_backbone_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "own.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("stem/kernel.npy", bytes(2**26 + 1))

    with pytest.raises(WeightsError, match=f"got arrays of {2**26 + 1} bytes"):
        load_backbone(TrainConfig(backbone_weights=tmp_path / "own.npz"), 32)
