"""Engines compute what Keras computes, or nothing."""

import importlib.util
import sys

import numpy as np
import pytest

from lidcflow.config import TrainConfig
from lidcflow.errors import EngineError
from lidcflow.learn import engines
from lidcflow.learn.backbones import backbone_id
from lidcflow.learn.engines import feature_error, load_engine, require_engine
from lidcflow.learn.networks import load_backbone
from lidcflow.learn.runtime import threads

needs_openvino = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="OpenVINO is not installed (the extra openvino)"
)
SIZE = 32


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(0, 255, (3, SIZE, SIZE, 3)).astype(np.float32)


@pytest.fixture
def in_keras(images):
    return load_backbone(TrainConfig(), SIZE)[0].predict_on_batch(images)


@pytest.fixture
def new_engines(monkeypatch):
    monkeypatch.setattr(engines, "_loaded", {})


def test_only_features_of_keras_in_fp32_have_no_engine_in_their_name():
    plain = backbone_id(TrainConfig(), SIZE)

    assert plain.endswith(f"-projections-{SIZE}")
    assert backbone_id(TrainConfig(engine="openvino"), SIZE) == f"{plain}-openvino-fp32"
    assert backbone_id(TrainConfig(precision="bf16"), SIZE) == f"{plain}-keras-bf16"


@needs_openvino
@pytest.mark.parametrize(("precision", "most"), [("fp32", 1e-5), ("bf16", 0.05)])
def test_openvino_computes_the_features_of_keras(precision, most, images, in_keras):
    engine = load_engine(TrainConfig(engine="openvino", precision=precision), SIZE)

    assert feature_error(engine.network(images), in_keras) < most
    assert 0 < engine.error < most


def test_keras_in_bf16_gives_float32_features_close_to_its_own(images, in_keras):
    engine = load_engine(TrainConfig(precision="bf16"), SIZE)

    features = engine.network(images)

    assert features.dtype == np.float32
    assert 0 < feature_error(features, in_keras) < 0.1


@needs_openvino
def test_a_conversion_is_not_reported_to_anyone(new_engines):
    load_engine(TrainConfig(engine="openvino"), SIZE)

    assert sys.modules["openvino_telemetry"] is None


def test_an_engine_is_checked_once_in_a_process():
    config = TrainConfig(precision="bf16")

    assert load_engine(config, SIZE) is load_engine(config, SIZE)


@pytest.mark.parametrize("wrong", [1.2, np.nan])
def test_an_engine_that_computes_something_else_is_refused(wrong, new_engines, monkeypatch):
    keras_network = load_backbone(TrainConfig(), SIZE)[0].predict_on_batch
    monkeypatch.setitem(engines._NETWORKS, "keras", lambda *_: lambda images: wrong * keras_network(images))

    with pytest.raises(EngineError, match=r"must differ from those of Keras in fp32 by at most 0\.1 of their spread"):
        load_engine(TrainConfig(precision="bf16"), SIZE)


def test_an_engine_that_is_not_installed_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)

    with pytest.raises(EngineError, match=r"pip install 'lidcflow\[openvino\]'"):
        require_engine("openvino")


def test_what_slices_share_does_not_hide_an_error():
    reference = np.array([[1000.0, 1.0], [1000.0, 3.0]])

    assert feature_error(np.array([[1000.0, 2.0], [1000.0, 2.0]]), reference) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("granted", "expected"),
    [({}, None), ({"OMP_NUM_THREADS": "1"}, 1), ({"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "4"}, 4)],
)
def test_a_process_computes_with_the_threads_it_was_given(granted, expected, monkeypatch):
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in granted.items():
        monkeypatch.setenv(name, value)

    assert threads() == expected
