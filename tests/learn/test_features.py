import numpy as np
import pytest

from lidcflow.config import TrainConfig
from lidcflow.learn import features
from lidcflow.learn.engines import load_engine
from lidcflow.learn.networks import load_backbone


@pytest.fixture(scope="module")
def loaded():
    model, backbone = load_backbone(TrainConfig(), 32)
    return model.predict_on_batch, backbone


@pytest.fixture
def hu():
    return np.random.default_rng(1).integers(-1024, 400, (2, 5, 32, 32)).astype(np.int16)


def test_every_slice_gets_its_features_as_float16(loaded, hu):
    found = features.series_features(loaded[0], hu, loaded[1])

    assert found.shape == (5, 384)
    assert found.dtype == np.float16
    assert np.isfinite(found).all()


def test_features_of_a_slice_do_not_depend_on_its_neighbours(loaded, hu):
    network, backbone = loaded

    alone = features.series_features(network, hu[:, 2:3], backbone)

    np.testing.assert_allclose(alone[0], features.series_features(network, hu, backbone)[2], rtol=0.01, atol=0.01)


def test_a_large_volume_goes_through_in_parts(loaded, hu, monkeypatch):
    network, backbone = loaded
    whole = features.series_features(network, hu, backbone)
    monkeypatch.setattr(features, "BATCH_PIXELS", 2 * 32 * 32)

    np.testing.assert_allclose(features.series_features(network, hu, backbone), whole, rtol=0.01, atol=0.01)


def test_volumes_in_one_pass_keep_their_own_features(hu):
    engine = load_engine(TrainConfig(), 32)

    first, second = features.volume_features(engine, [hu[:, :2], hu[:, 2:]])

    assert (len(first), len(second)) == (2, 3)
    whole = features.series_features(engine.network, hu, engine.backbone)
    np.testing.assert_allclose(np.concatenate([first, second]), whole, rtol=0.01, atol=0.01)


def test_slices_of_another_size_are_a_wrong_argument(loaded):
    network, backbone = loaded

    with pytest.raises(ValueError, match="must be 32 x 32 pixels"):
        features.series_features(network, np.zeros((2, 1, 64, 64), np.int16), backbone)
