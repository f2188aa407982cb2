"""Detectors with random weights, small enough for tests."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lidcflow.nodules.detector import LAYERS


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
