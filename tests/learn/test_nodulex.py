import numpy as np

from lidcflow.learn.nodulex import learn_nodulex, nodulex_images
from lidcflow.learn.plane_training import PlaneTraining
from lidcflow.learn.rated_nodules import Fold, read_rated_nodules
from tests.learn.real_sets import write_rated_slices


def test_the_middle_is_seen():
    hu = np.zeros((1, 71, 71), np.int16)
    hu[0, 35, 35] = 400

    images = nodulex_images(hu)

    assert images.shape == (1, 21, 21, 1)
    assert images[0, 10, 10, 0] == 1


def test_all_three_systems_learn(tmp_path):
    write_rated_slices(tmp_path)
    nodules = read_rated_nodules(tmp_path)
    fold = Fold(np.arange(40), np.arange(40, 60), nodules.sets.rating >= 3, seed=0)

    found = learn_nodulex(nodules, fold, PlaneTraining(steps=20))

    malignant = fold.malignant[fold.left_out]
    assert set(found) == {"CNN", "random forest on QIF", "CNN and QIF"}
    assert all(p[malignant].min() > p[~malignant].max() for p in found.values())
