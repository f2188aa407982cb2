"""A backbone cut in two."""

import keras
import numpy as np
import pytest

from lidcflow.config import TrainConfig
from lidcflow.config.science import BLOCKS, FinetuneConfig
from lidcflow.learn.backbones import describe_backbone
from lidcflow.learn.boundaries import map_shape
from lidcflow.learn.networks import load_backbone, load_top

SIZE = 20


@pytest.fixture(scope="module")
def resnet50(tmp_path_factory):
    """Settings of a ResNet-50 whose weights are random, statistics of its normalisation too."""
    file = tmp_path_factory.mktemp("weights") / "resnet50.weights.h5"
    network = keras.applications.ResNet50(include_top=False, weights=None, input_shape=(32, 32, 3))
    statistics = [v for v in network.non_trainable_variables if "moving_mean" in v.path]
    for variable in statistics:
        variable.assign(np.linspace(-0.1, 0.1, variable.shape[0]))
    network.save_weights(file)
    return {"backbone": "resnet50", "backbone_weights": file}


def images(size):
    return np.random.default_rng(0).uniform(0, 255, (2, size, size, 3)).astype(np.float32)


def finetuned_from(block, **settings):
    return TrainConfig(mode="finetune", finetune=FinetuneConfig(from_block=block), **settings)


@pytest.mark.parametrize("block", BLOCKS["compact"])
def test_bottom_then_top_is_the_whole_backbone(block):
    whole, _ = load_backbone(TrainConfig(), SIZE)
    bottom, backbone = load_backbone(finetuned_from(block), SIZE)

    maps = bottom.predict_on_batch(images(SIZE))

    assert maps.shape[1:] == map_shape("compact", block, SIZE)
    assert backbone.feature_dim == maps[0].size
    features = load_top(finetuned_from(block), SIZE).predict_on_batch(maps)
    np.testing.assert_allclose(features, whole.predict_on_batch(images(SIZE)), rtol=1e-6)


def test_a_resnet50_is_cut_before_its_last_block_and_its_normalisation_stays(resnet50):
    whole, _ = load_backbone(TrainConfig(**resnet50), 33)
    bottom, _ = load_backbone(finetuned_from("conv5", **resnet50), 33)
    top = load_top(finetuned_from("conv5", **resnet50), 33)

    maps = bottom.predict_on_batch(images(33))

    assert maps.shape[1:] == map_shape("resnet50", "conv5", 33) == (3, 3, 1024)
    np.testing.assert_allclose(top.predict_on_batch(maps), whole.predict_on_batch(images(33)), rtol=1e-5)
    assert {variable.path.split("/")[-1] for variable in top.trainable_variables} == {"kernel", "bias"}


def test_what_learns_is_a_copy_and_what_stays_is_frozen():
    bottom, _ = load_backbone(finetuned_from("stage3"), SIZE)
    one, other = (load_top(finetuned_from("stage3"), SIZE) for _ in range(2))

    one.set_weights([weight + 1 for weight in one.get_weights()])

    assert not bottom.trainable_variables
    assert all((a != b).all() for a, b in zip(one.get_weights(), other.get_weights(), strict=True))


def test_mixed_precision_takes_and_gives_float32():
    bottom, _ = load_backbone(finetuned_from("stage3"), SIZE, policy="mixed_bfloat16")
    maps = bottom.predict_on_batch(images(SIZE))
    features = load_top(finetuned_from("stage3"), SIZE, policy="mixed_bfloat16").predict_on_batch(maps)

    assert maps.dtype == features.dtype == np.float32
    exact, _ = load_backbone(TrainConfig(), SIZE)
    np.testing.assert_allclose(features, exact.predict_on_batch(images(SIZE)), rtol=0.1, atol=0.1)


def test_maps_and_features_have_names_of_their_own():
    frozen, tuned = describe_backbone(TrainConfig(), 64), describe_backbone(finetuned_from(None), 64)

    assert tuned.id == f"{frozen.id}-below-stage3"
    assert tuned.digest == frozen.digest
