import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from lidcflow.errors import WeightsError
from lidcflow.nodules.detector import (
    CARD_FILE,
    WEIGHT_FILE,
    WEIGHTS,
    Calibration,
    Detector,
    calibrated,
    embedded_detector,
    read_detector,
    write_detector,
)
from lidcflow.nodules.detector_network import DetectorNetwork
from lidcflow.nodules.patch_file import read_patch_file
from lidcflow.nodules.window import middle, windowed
from lidcflow.stats.patch_figures import patch_figures
from tests.nodules.detectors import random_weights

CARD = {"calibration": {"intercept": -1.0, "logit": 1.0, "log_score": 0.5, "threshold": 0.4}}
MOST_BYTES = 1_500_000


@pytest.fixture
def folder(tmp_path):
    write_detector(tmp_path, [random_weights(0), random_weights(1)], CARD)
    return tmp_path


@pytest.fixture
def detector():
    networks = tuple(DetectorNetwork(random_weights(seed)) for seed in (0, 1))
    return Detector(networks, Calibration(-1.0, 1.0, 0.5, 0.4), {}, "")


def patches_of(n):
    return np.random.default_rng(3).integers(-1000, 400, (n, 2, 3, 48, 48)).astype(np.int16)


def test_a_patch_and_its_mirror_images_have_one_logit(detector):
    grey = np.random.default_rng(2).integers(0, 256, (2, 48, 48), dtype=np.uint8)
    views = [network(view) for network in detector.networks for view in (grey, grey[:, ::-1], grey[:, :, ::-1])]
    views += [network(grey.transpose(0, 2, 1)) for network in detector.networks]

    np.testing.assert_allclose(detector.patch_logits(grey), np.mean(views, axis=0), rtol=1e-5)


def test_a_candidate_has_the_mean_logit_of_its_three_narrow_planes(detector):
    patches = patches_of(2)
    planes = [network(windowed(patches[1, 0])).mean() for network in detector.networks]

    assert detector.candidate_logits(patches)[1] == pytest.approx(np.mean(planes), rel=1e-4)


def test_the_logits_of_narrow_and_of_wide_planes_are_added_up():
    networks = tuple(DetectorNetwork(random_weights(seed)) for seed in (0, 1))
    detector = Detector(networks, Calibration(-1.0, 1.0, 0.5, 0.4), {"widths": [0, 1]}, "")
    patches = patches_of(2)

    expected = sum(network(windowed(patches[1, width])).mean() for width, network in enumerate(networks))
    assert detector.candidate_logits(patches)[1] == pytest.approx(expected, rel=1e-4)
    grey = windowed(patches[:, 0, 0])
    np.testing.assert_allclose(
        detector.patch_logits(grey), replace(detector, networks=networks[:1], card={}).patch_logits(grey)
    )


@pytest.mark.parametrize("widths", [[0], [0, 1, 1], [0, 2], [1, 1]])
def test_a_card_that_names_other_widths_than_there_are_networks_is_refused(tmp_path, widths):
    write_detector(tmp_path, [random_weights(0), random_weights(1)], {**CARD, "widths": widths})

    with pytest.raises(WeightsError, match="2 networks for widths"):
        read_detector(tmp_path)


def test_a_probability_rises_with_the_score_of_the_filter():
    low, high = calibrated(np.zeros(2), np.array([0.5, 2.0]), Calibration(-1.0, 1.0, 0.5, 0.4))

    assert 0 <= low < high <= 1


def test_a_score_of_zero_is_still_a_probability():
    probability = calibrated(np.array([0.0]), np.array([0.0]), Calibration(0.0, 1.0, 0.5, 0.5))

    assert 0 < probability[0] < 0.1


def test_extreme_logits_are_probabilities_without_a_warning():
    np.testing.assert_allclose(calibrated(np.array([-2e3, 2e3]), np.ones(2), Calibration(0, 1, 0, 0.5)), [0, 1])


def test_a_series_without_candidates_has_no_probabilities(detector):
    assert detector.probabilities(patches_of(0), np.empty(0)).shape == (0,)


def test_the_same_weights_make_the_same_bytes(folder, tmp_path):
    first = (folder / WEIGHT_FILE).read_bytes()

    write_detector(tmp_path / "again", [random_weights(0), random_weights(1)], CARD)

    assert (tmp_path / "again" / WEIGHT_FILE).read_bytes() == first


def test_a_detector_is_read_as_it_was_written(folder, detector):
    read = read_detector(folder)

    assert read.calibration == detector.calibration
    grey = np.random.default_rng(2).integers(0, 256, (2, 48, 48), dtype=np.uint8)
    np.testing.assert_allclose(read.patch_logits(grey), detector.patch_logits(grey), rtol=0.02, atol=0.1)


def test_weights_of_another_card_are_refused(folder, tmp_path):
    write_detector(tmp_path / "other", [random_weights(2)], CARD)
    (tmp_path / "other" / WEIGHT_FILE).replace(folder / WEIGHT_FILE)

    with pytest.raises(WeightsError, match="got weights of digest"):
        read_detector(folder)


def test_a_missing_weight_file_names_the_command_that_makes_it(folder):
    (folder / WEIGHT_FILE).unlink()

    with pytest.raises(WeightsError, match="lidcflow pretrain --nodules"):
        read_detector(folder)


def test_a_card_without_a_calibration_is_refused(folder):
    card = json.loads((folder / CARD_FILE).read_text())
    del card["calibration"]
    (folder / CARD_FILE).write_text(json.dumps(card))

    with pytest.raises(WeightsError, match="calibration"):
        read_detector(folder)


@pytest.mark.parametrize(("layer", "values"), [("logit/bias", None), ("logit/bias", [np.nan])])
def test_a_network_that_lacks_a_layer_or_holds_no_numbers_is_refused(tmp_path, layer, values):
    weights = random_weights(0)
    if values is None:
        del weights[layer]
    else:
        weights[layer] = np.array(values, np.float32)
    write_detector(tmp_path, [weights], CARD)

    with pytest.raises(WeightsError, match=r"amiss|no numbers"):
        read_detector(tmp_path)


def test_the_detector_in_the_package_is_small_and_has_a_card():
    detector = embedded_detector()

    assert (WEIGHTS / WEIGHT_FILE).stat().st_size <= MOST_BYTES
    assert "CC BY 3.0" in detector.card["licence"]
    assert any("LIDC-IDRI" in line for line in detector.card["attribution"])
    assert detector.card["sha256"] == detector.sha256


def test_the_detector_is_applied_without_tensorflow():
    program = (
        "import sys, numpy as np; from lidcflow.nodules.detector import embedded_detector as e; "
        "e().probabilities(np.zeros((1, 2, 3, 48, 48), np.int16), np.ones(1)); "
        "print({'keras', 'tensorflow', 'openvino', 'sklearn'} & set(sys.modules))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"


@pytest.mark.real
def test_the_detector_in_the_package_reaches_the_figures_of_its_card(real_data):
    patches = read_patch_file(real_data / "nodule-patches" / "patches.npz")
    validation = patches.part(patches.split == "validation")
    detector = embedded_detector()

    logits = detector.patch_logits(middle(validation.image))

    figures = patch_figures(logits, validation.label == 1, validation.series)
    stated = detector.card["patches"]["validation"]
    assert figures.auroc.value == pytest.approx(stated["auroc"]["value"], abs=1e-4)
    assert figures.sensitivity.value == pytest.approx(stated["sensitivity"]["value"], abs=1e-4)
    assert figures.nodules == stated["nodules"]
