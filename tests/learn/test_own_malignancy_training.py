from dataclasses import replace

import numpy as np
import pytest

from lidcflow.learn.nodule_layers import folded_weights
from lidcflow.learn.nodulex import nodulex_layers
from lidcflow.learn.own_malignancy_systems import fit_nodulex
from lidcflow.learn.own_malignancy_training import clear_of, plane_images, three_planes, train_malignancy
from lidcflow.learn.plane_training import answers_of
from lidcflow.nodules.detector import embedded_detector
from lidcflow.nodules.malignancy_scores import ANSWER, PLANES, nodulex_scores, part_of, triplanar_scores
from lidcflow.nodules.nodulex_network import block_images, nodulex_features, nodulex_logits
from tests.learn.rated_cubes import rated_views


@pytest.fixture(scope="module")
def rated():
    return rated_views(24)


def test_nodulex_learns_and_its_network_answers_as_in_keras(rated):
    steps = []
    options = {"malignant_at": 3.0, "steps": 12, "seed": 0}

    found = train_malignancy("nodulex", rated, **options, on_progress=lambda *done: steps.append(done))

    assert steps[-1] == (12, 12)
    assert len(found.loss) == 12
    model, _ = nodulex_layers(seed=5, slices=5)
    weights = part_of(found.arrays, "network")
    for name in ("first", "second", "features", "logit"):
        model.get_layer(name).set_weights([weights[f"{name}/kernel"], weights[f"{name}/bias"]])
    images = block_images(rated.views.block)
    logits = nodulex_logits(weights, nodulex_features(weights, images))
    np.testing.assert_allclose(logits, answers_of(model, images)[:, 0], atol=2e-4)


def test_nodulex_joins_its_network_with_qif(rated):
    malignant = rated.rating >= 3
    networks = train_malignancy("nodulex", rated, malignant_at=3.0, steps=12, seed=0).arrays

    found = nodulex_scores(fit_nodulex(rated, malignant, networks, 0), rated.views)

    assert list(found) == [ANSWER, "cnn", "qif_forest"]
    assert all(score[malignant].mean() > score[~malignant].mean() for score in found.values())


@pytest.fixture(scope="module")
def planes(rated):
    """Return images, the three networks on them before any training, and their parts."""
    images = plane_images(rated.views.planes)
    return images, *three_planes(images, 0)


def test_the_mean_logit_of_planes_is_the_answer(rated, planes):
    images, model, parts = planes
    folded = zip(PLANES, map(folded_weights, parts), strict=True)
    arrays = {f"{plane}/{name}": one for plane, weights in folded for name, one in weights.items()}

    logits = triplanar_scores(arrays, rated.views)[ANSWER]

    np.testing.assert_allclose(logits, answers_of(model, images)[:, 0], atol=2e-3)


def test_planes_start_from_the_embedded_detector_each_with_its_own_last_layer(planes):
    *_, parts = planes

    weights = embedded_detector().networks[0].weights
    logits = [part.get_layer("logit").get_weights()[0] for part in parts]
    for part in parts:
        np.testing.assert_array_equal(part.get_layer("stem").get_weights()[0], weights["stem/kernel"])
    assert not np.array_equal(logits[0], logits[1])


def test_three_planes_learn(rated):
    found = train_malignancy("triplanar", rated.take(np.arange(8)), malignant_at=3.0, steps=2, seed=0)

    scores = triplanar_scores(found.arrays, rated.views)[ANSWER]
    assert {name.split("/")[0] for name in found.arrays} == set(PLANES)
    assert len(found.loss) == 2
    assert np.isfinite(scores).all()


def test_nodules_at_the_threshold_itself_are_left_out_of_the_planes(rated):
    some = replace(rated.take(np.arange(4)), rating=np.array([1.5, 3.0, 4.5, 3.5]))

    assert clear_of(some, 3.0).rating.tolist() == [1.5, 4.5, 3.5]
