import numpy as np
import pytest

from lidcflow.learn.nodulex import nodulex_layers
from lidcflow.learn.own_malignancy_systems import fit_nodulex
from lidcflow.learn.own_malignancy_training import plane_images, three_planes, train_malignancy
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


def test_three_planes_answer_as_in_keras_once_trained(rated):
    images = plane_images(rated.views.planes)
    model, _ = three_planes(images, 0)

    found = train_malignancy("triplanar", rated, malignant_at=3.0, steps=2, seed=0)

    assert {name.split("/")[0] for name in found.arrays} == set(PLANES)
    again = train_malignancy("triplanar", rated, malignant_at=3.0, steps=2, seed=0)
    first, second = (triplanar_scores(one.arrays, rated.views)[ANSWER] for one in (found, again))
    np.testing.assert_allclose(first, second, atol=1e-3)
    assert answers_of(model, images).shape == (len(images), 1)


def test_the_mean_logit_of_planes_is_the_answer(rated):
    from lidcflow.learn.nodule_layers import folded_weights  # Keras, as above

    images = plane_images(rated.views.planes)
    model, parts = three_planes(images, 0)
    folded = zip(PLANES, map(folded_weights, parts), strict=True)
    arrays = {f"{plane}/{name}": one for plane, weights in folded for name, one in weights.items()}

    logits = triplanar_scores(arrays, rated.views)[ANSWER]

    np.testing.assert_allclose(logits, answers_of(model, images)[:, 0], atol=2e-3)


def test_planes_start_from_the_embedded_detector_each_with_its_own_last_layer(rated):
    _, parts = three_planes(plane_images(rated.views.planes)[:8], 0)

    weights = embedded_detector().networks[0].weights
    logits = [part.get_layer("logit").get_weights()[0] for part in parts]
    for part in parts:
        np.testing.assert_array_equal(part.get_layer("stem").get_weights()[0], weights["stem/kernel"])
    assert not np.array_equal(logits[0], logits[1])


def test_nodules_at_the_threshold_itself_are_left_out_of_the_planes(rated):
    at = rated.take(np.arange(8))
    doubtful = type(at)(at.views, np.array([1.5, 4.5, 3, 3, 3, 3, 1.5, 4.5]), at.spread, at.readers, at.patient)

    found = train_malignancy("triplanar", doubtful, malignant_at=3.0, steps=1, seed=0)
    clear = train_malignancy("triplanar", doubtful.take(doubtful.rating != 3), malignant_at=3.0, steps=1, seed=0)

    for name, array in found.arrays.items():
        np.testing.assert_allclose(array, clear.arrays[name], atol=1e-3)
