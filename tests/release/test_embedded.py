"""The release that ships with the package, and its card."""

import json

import numpy as np
import pytest

from lidcflow.config import PreprocessConfig
from lidcflow.errors import WeightsError
from lidcflow.nodules.detector import embedded_detector
from lidcflow.nodules.malignancy import embedded_malignancy
from lidcflow.nodules.segmenter import embedded_segmenter
from lidcflow.release.embedded import embedded_release
from lidcflow.release.embedded_card import embedded_card
from lidcflow.release.record import ReleaseRecord
from tests.nodules.detectors import CARD, small_detector  # noqa: F401

PREPROCESS = PreprocessConfig(slices=16, size=32)


@pytest.fixture
def record(small_detector):  # noqa: F811
    return embedded_release(PREPROCESS)


def test_the_embedded_release_pins_the_detector_of_the_package_and_its_threshold(record):
    detector = embedded_detector()

    assert (record.nodules.sha256, record.nodules.threshold) == (detector.sha256, detector.calibration.threshold)
    assert (record.name, record.nodules.detector, record.sectors) == ("lidcflow-embedded", "embedded", ())
    assert record.check() is record


def test_it_knows_how_often_nodules_are_at_the_height_of_each_slice(record):
    heights = np.array(record.nodules.chest_height)

    assert heights.shape == (PREPROCESS.slices, 3)
    np.testing.assert_allclose(heights.sum(axis=1), 1)


def test_it_takes_volumes_of_the_preprocessing_at_hand(record):
    assert record.facts().preprocess_digest == PREPROCESS.digest


def test_its_record_survives_json(record):
    assert ReleaseRecord.model_validate(json.loads(record.model_dump_json())) == record


def test_without_the_weights_of_the_detector_there_is_no_embedded_release(tmp_path, monkeypatch):
    monkeypatch.setattr("lidcflow.nodules.detector.WEIGHTS", tmp_path)
    embedded_detector.cache_clear()

    with pytest.raises(WeightsError, match="install lidcflow again"):
        embedded_release(PREPROCESS)


def test_its_card_says_what_it_was_trained_on_what_it_reaches_and_what_it_is_not_for(record):
    card = embedded_card(record, record.nodules, CARD, embedded_segmenter().card, embedded_malignancy().card)

    for expected in (
        "# lidcflow-embedded version",
        "not for diagnosis",
        "- patches of a test",
        "| validation | 60 | 12 | 0.995 (0.990 to 0.999) | 0.970 |",
        "| segmenter |",
        "| S12 vs S45 | 484, 259 | 0.967 (0.952 to 0.978) | 0.932 (0.900 to 0.957) |",
        "from P(nodule) 0.400",
        f"Detector `{record.nodules.sha256[:12]}`",
        "lidcflow infer SRC --release embedded",
    ):
        assert expected in card


def test_a_card_of_a_detector_without_figures_leaves_them_out(record):
    assert "Figures of the detector" not in embedded_card(record, record.nodules, {"calibration": {}}, {}, {})
