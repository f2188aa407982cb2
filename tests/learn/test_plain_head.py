"""A head that is read from its file without Keras answers as the one that Keras loads."""

import json
import zipfile

import keras
import numpy as np
import pytest

from lidcflow.config import TrainConfig
from lidcflow.learn.fitting import fit_head
from lidcflow.learn.heads import averaged_model, calibrated_model
from lidcflow.learn.network_check import CONFIG
from lidcflow.learn.network_file import load_head
from lidcflow.learn.plain_head import NumpyEnsemble, NumpyHead, read_head
from lidcflow.stats.calibration import Calibration
from tests.learn.test_arithmetic import CALIBRATION, random_features


@pytest.fixture(params=["linear", "mlp", "paper"])
def kept(request, tmp_path):
    """A trained head of each kind in its file."""
    config = TrainConfig(head=request.param, epochs=2)
    fitted = fit_head(*random_features(90, 0), *random_features(30, 1), config, seed=0).model
    file = tmp_path / "model.keras"
    calibrated_model(fitted, CALIBRATION).save(file)
    return file


def test_a_head_answers_to_the_last_bit_as_the_one_that_keras_loads(kept):
    features = random_features(65, 2)[0].astype(np.float32)

    head = read_head(kept)

    assert isinstance(head, NumpyHead)
    np.testing.assert_array_equal(head(features), load_head(kept, "a head")(features))


@pytest.fixture
def ensemble(tmp_path):
    """An average of three heads in its file."""
    config = TrainConfig(head="linear", epochs=1)
    folds = [fit_head(*random_features(90, i), *random_features(30, i + 1), config, seed=i).model for i in range(3)]
    averaged_model([calibrated_model(fold, CALIBRATION) for fold in folds]).save(tmp_path / "folds.keras")
    return tmp_path / "folds.keras"


def test_an_average_of_heads_answers_to_the_last_bit_as_the_one_that_keras_loads(ensemble):
    features = random_features(65, 2)[0].astype(np.float32)

    head = read_head(ensemble)

    assert isinstance(head, NumpyEnsemble)
    assert len(head.members) == 3
    np.testing.assert_array_equal(head(features), load_head(ensemble, "a head")(features))


@pytest.mark.parametrize(
    "change",
    [
        lambda layers: layers[-1]["inbound_nodes"][0]["args"][0].pop(),
        lambda layers: layers[-1]["inbound_nodes"][0]["args"][0].reverse(),
        lambda layers: layers[2]["inbound_nodes"][0]["args"][0]["config"].update(keras_history=["fold-1", 0, 0]),
        lambda layers: layers[2]["config"]["layers"][2]["config"].update(activation="tanh"),
        lambda layers: layers[2]["config"].update(output_layers=["logits", 0, 0]),
    ],
    ids=["a member left out", "another order", "one after another", "activation", "another end"],
)
def test_what_is_more_or_less_than_an_average_of_heads_is_left_to_keras(ensemble, change):
    assert read_head(changed(ensemble, change)) is None


def changed(file, change):
    """Write a network's file again with its description changed."""
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members[CONFIG])
    change(config["config"]["layers"])
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in {**members, CONFIG: json.dumps(config).encode()}.items():
            archive.writestr(name, content)
    return file


@pytest.mark.parametrize(
    "change",
    [
        lambda layers: layers[2]["config"].update(activation="tanh"),
        lambda layers: layers[2]["config"].update(units=2),
        lambda layers: layers[1]["config"].update(invert=True),
        lambda layers: layers[-1]["config"].update(axis=0),
        lambda layers: layers[-1]["inbound_nodes"][0]["args"][0]["config"].update(keras_history=["features", 0, 0]),
        lambda layers: layers[0]["config"].update(batch_shape=[None, 2, 20]),
        lambda layers: layers[2]["config"].update(dtype="float16"),
        lambda layers: layers[2].update(class_name="Lambda"),
        lambda layers: layers.pop(1),
    ],
    ids=["activation", "units", "inverted", "axis", "another way", "maps", "precision", "a lambda", "a layer less"],
)
def test_what_is_more_or_less_than_such_a_head_is_left_to_keras(tmp_path, change):
    features, labels = random_features(30, 0)
    fitted = fit_head(features, labels, features, labels, TrainConfig(head="linear", epochs=1), seed=0).model
    calibrated_model(fitted, Calibration(scale=1.0, offsets=(0.0, 0.0, 0.0))).save(tmp_path / "model.keras")

    assert read_head(changed(tmp_path / "model.keras", change)) is None


def test_a_network_of_other_layers_and_a_file_of_another_kind_are_left_to_keras(tmp_path):
    inputs = keras.Input((4, 4, 3))
    keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs)).save(tmp_path / "maps.keras")
    (tmp_path / "text.keras").write_text("no archive")

    assert [read_head(tmp_path / name) for name in ("maps.keras", "text.keras", "none.keras")] == [None] * 3
