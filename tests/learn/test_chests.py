"""Made-up chests to pretrain on."""

import numpy as np

from lidcflow.learn.chests import make_pretraining_set


def test_every_nodule_slice_of_a_made_up_chest_is_labelled_by_its_mask(tmp_path):
    chests = make_pretraining_set(tmp_path, [11])

    np.testing.assert_array_equal(chests.masks[0].max(axis=(1, 2)), chests.labels[0])
