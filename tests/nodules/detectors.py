"""Detectors with random weights, small enough for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from lidcflow.nodules.detector import LAYERS, Detector, embedded_detector, write_detector

CARD = {
    "name": "lidcflow.nodules.detector",
    "data": ["patches of a test"],
    "attribution": ["nobody"],
    "licence": "none",
    "split": "by nothing",
    "calibration": {"intercept": -1.0, "logit": 1.0, "log_score": 0.5, "threshold": 0.4},
    "patches": {
        "validation": {
            "patches": 60,
            "nodules": 12,
            "series": 5,
            "auroc": {"value": 0.995, "low": 0.99, "high": 0.999},
            "sensitivity": {"value": 0.97, "low": None, "high": None},
            "specificity": 0.95,
        }
    },
}


@pytest.fixture
def small_detector(tmp_path: Path) -> Iterator[Detector]:
    """Put a detector with random weights in the place of the one in the package; return it."""
    with in_place_of_the_packages(tmp_path) as detector:
        yield detector


@contextmanager
def in_place_of_the_packages(folder: Path) -> Iterator[Detector]:
    """Put a detector with random weights in the place of the one in the package, as long as the block runs."""
    write_detector(folder / "detector", [random_weights(0)], CARD)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lidcflow.nodules.detector.WEIGHTS", folder / "detector")
        embedded_detector.cache_clear()
        yield embedded_detector()
    embedded_detector.cache_clear()


def random_weights(seed: int, filters: int = 2) -> dict[str, NDArray[np.float32]]:
    """Return weights of a network with as many filters in each stage."""
    rng = np.random.default_rng(seed)
    shapes = {"stem": (5, 5, 1, filters), "logit": (3 * filters, 1)}
    shapes |= {layer: (3, 3, filters, filters) for layer in LAYERS if layer.startswith("stage")}
    shapes |= {layer: (1, 1, filters, filters) for layer in LAYERS if layer.endswith("shortcut")}
    del shapes["stage1_shortcut"]
    kernels = {f"{layer}/kernel": rng.normal(size=shape).astype(np.float32) for layer, shape in shapes.items()}
    biases = {f"{layer}/bias": rng.normal(size=shape[-1]).astype(np.float32) for layer, shape in shapes.items()}
    return kernels | biases
