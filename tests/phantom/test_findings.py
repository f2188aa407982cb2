"""The nodules of a phantom."""

import numpy as np

from lidcflow.phantom.findings import BENIGN, MALIGNANT, random_lesion, random_ratings
from lidcflow.phantom.scene import generator


def test_malignant_nodules_are_larger_more_spiculated_and_hardly_ever_calcified():
    rng = generator(3)
    radii = {label: [random_lesion(rng, label, (0, 0, 0)).outline.radius_mm for _ in range(200)] for label in (1, 2)}
    ratings = {label: [random_ratings(rng, label, 2 * radius) for radius in radii[label]] for label in (1, 2)}

    def mean(label, name):
        return np.mean([getattr(one, name) for one in ratings[label]])

    assert np.median(radii[MALIGNANT]) > 1.3 * np.median(radii[BENIGN])
    assert mean(MALIGNANT, "spiculation") > mean(BENIGN, "spiculation") + 0.2
    assert mean(MALIGNANT, "margin") < mean(BENIGN, "margin") - 0.3
    assert mean(MALIGNANT, "calcification") > 5.9 > mean(BENIGN, "calcification")
