import numpy as np
import pytest

from lidcflow.config import TrainConfig
from lidcflow.learn import features
from lidcflow.learn.backbones import load_backbone


@pytest.fixture(scope="module")
def loaded():
    return load_backbone(TrainConfig(), 32)


@pytest.fixture
def hu():
    return np.random.default_rng(1).integers(-1024, 400, (2, 5, 32, 32)).astype(np.int16)


def test_every_slice_gets_its_features_as_float16(loaded, hu):
    found = features.series_features(*loaded[:1], hu, loaded[1])

    assert found.shape == (5, 384)
    assert found.dtype == np.float16
    assert np.isfinite(found).all()


def test_features_of_a_slice_do_not_depend_on_its_neighbours(loaded, hu):
    model, backbone = loaded

    alone = features.series_features(model, hu[:, 2:3], backbone)

    np.testing.assert_allclose(alone[0], features.series_features(model, hu, backbone)[2], rtol=0.01, atol=0.01)


def test_a_large_volume_goes_through_in_parts(loaded, hu, monkeypatch):
    model, backbone = loaded
    whole = features.series_features(model, hu, backbone)
    monkeypatch.setattr(features, "BATCH_PIXELS", 2 * 32 * 32)

    np.testing.assert_allclose(features.series_features(model, hu, backbone), whole, rtol=0.01, atol=0.01)


def test_slices_of_another_size_are_a_wrong_argument(loaded):
    model, backbone = loaded

    with pytest.raises(ValueError, match="must be 32 x 32 pixels"):
        features.series_features(model, np.zeros((2, 1, 64, 64), np.int16), backbone)
