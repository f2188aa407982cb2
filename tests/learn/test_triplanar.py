from dataclasses import replace

import numpy as np
import pytest

from lidcflow.learn.plane_training import PlaneTraining, answers_of
from lidcflow.learn.rated_nodules import Fold, read_rated_nodules
from lidcflow.learn.runtime import keras
from lidcflow.learn.triplanar import easiness_of, from_backbone, from_detector, learn_triplanar, plane_images
from lidcflow.nodules.detector import embedded_detector
from tests.learn.real_sets import write_rated_slices


@pytest.fixture
def nodules(tmp_path):
    write_rated_slices(tmp_path)
    return read_rated_nodules(tmp_path)


def test_clear_nodules_on_which_readers_agree_are_the_easiest(nodules):
    sets = replace(nodules.sets, rating=np.array([5.0, 1.5, 3.0]), spread=np.array([0.0, 0.5, 1.0]))

    assert easiness_of(sets).tolist() == [2.0, 1.0, -1.0]


def test_the_network_from_the_detector_finds_what_the_detector_finds(nodules):
    images = plane_images(nodules.sets)[:8]

    model = from_detector(images, 0)

    weights = embedded_detector().networks[0].weights
    np.testing.assert_array_equal(model.get_layer("stem").get_weights()[0], weights["stem/kernel"])
    assert not np.array_equal(model.get_layer("logit").get_weights()[0], weights["logit/kernel"])


def test_the_sector_backbone_reads_planes(nodules):
    model = from_backbone(plane_images(nodules.sets)[:2], 0)

    assert answers_of(model, plane_images(nodules.sets)[:2]).shape == (2, 1)


def test_a_start_learns_without_and_with_a_curriculum(nodules):
    fold = Fold(np.arange(40), np.arange(40, 60), nodules.sets.rating >= 3, seed=0)

    found = learn_triplanar(nodules, fold, PlaneTraining(steps=2, batch_size=8), {"small": small_network})

    assert list(found) == ["small", "small, curriculum"]
    assert all(np.isfinite(p).all() and p.shape == (20,) for p in found.values())


def small_network(_images, _seed):
    images = keras.Input((48, 48, 1))
    pooled = keras.layers.GlobalAveragePooling2D()(images)
    return keras.Model(images, keras.layers.Dense(1, kernel_initializer=keras.initializers.Zeros())(pooled))
