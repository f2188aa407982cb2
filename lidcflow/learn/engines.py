"""Engines that compute a backbone's features; each is compared with Keras in fp32 before its first use."""

import importlib.util
import threading
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lidcflow.config import TrainConfig
from lidcflow.config.science import ImagesConfig
from lidcflow.errors import EngineError
from lidcflow.learn.backbones import Backbone, Network, describe_backbone, weight_file

MOST_ERROR = {"fp32": 1e-3, "bf16": 0.1}
"""Largest error of features, as a share of the spread between slices; float16, as stored, makes 0.0005."""

PROBES = 4


@dataclass(frozen=True, slots=True)
class Engine:
    """A network that is ready to compute.

    Attributes
    ----------
    network : callable
        (n, size, size, 3) images of 0 to 255 -> (n, feature_dim) features.
    backbone : Backbone
        What it is; its `id` names engine and precision.
    error : float
        Of the features of made-up slices against Keras in fp32, see `feature_error`; 0 for that itself.
    """

    network: Network
    backbone: Backbone
    error: float


def require_engine(engine: str) -> None:
    """Check that the configured engine is installed, without importing it.

    Raises
    ------
    EngineError
        If it is not.
    """
    if engine == "openvino" and importlib.util.find_spec("openvino") is None:
        raise EngineError(
            "engine openvino: must be installed to compute these features, got no package of the name; "
            "pip install 'lidcflow[openvino]', or train with train.engine = \"keras\""
        )


def load_engine(config: TrainConfig, size: int) -> Engine:
    """Load the configured backbone into the configured engine and check it, once in a process.

    Parameters
    ----------
    config : TrainConfig
        Backbone, engine and precision.
    size : int
        Rows and columns of the volumes.

    Raises
    ------
    WeightsError
        If the backbone's weight file is missing or wrong.
    EngineError
        If the engine is not installed, or its features are not those of Keras.
    """
    require_engine(config.engine)
    if config.backbone == "onnx" and config.images:
        return _onnx_engine(config, config.images, size)
    model, backbone = keras_network(config, size)
    with _loading:
        if backbone.id not in _loaded:
            network, error = _NETWORKS[config.engine](config, size), 0.0
            if (config.engine, config.precision) != ("keras", "fp32"):
                error = _checked_error(network, model.predict_on_batch, backbone, MOST_ERROR[config.precision])
            _loaded[backbone.id] = Engine(network, backbone, error)
        return _loaded[backbone.id]


def _onnx_engine(config: TrainConfig, images: ImagesConfig, size: int) -> Engine:
    """Load an ONNX network; nothing in Keras is there to compare its features with."""
    file = weight_file(config)
    backbone = describe_backbone(config, size, file)
    with _loading:
        if backbone.id not in _loaded:
            compute = import_module("lidcflow.learn.onnx_network").onnx_network  # an extra: perhaps not installed
            _loaded[backbone.id] = Engine(compute(file, backbone, images, config.precision), backbone, 0.0)
        return _loaded[backbone.id]


_loaded: dict[str, Engine] = {}
_loading = threading.Lock()


def keras_network(config: TrainConfig, size: int, *, policy: str = "float32") -> tuple[Any, Backbone]:
    """Load a backbone in Keras, once in a process; as `lidcflow.learn.networks.load_backbone`.

    Keras takes seconds to import, and flows, which compute no features, import this module too.
    """
    from lidcflow.learn.networks import load_backbone  # Keras: only where features are computed

    return load_backbone(config, size, policy=policy)


def feature_error(features: NDArray[np.floating], reference: NDArray[np.floating]) -> float:
    """Measure how far features are from those that they should be.

    Parameters
    ----------
    features, reference : (n, d) arrays
        Of the same slices.

    Returns
    -------
    float
        Root mean square difference over the spread of the reference between slices: what all slices share tells
        a head nothing, and would hide an error in what it learns from. NaN where a feature is.

    Examples
    --------
    >>> feature_error(np.array([[10.0], [12.5]]), np.array([[10.0], [12.0]])).__round__(3)
    0.354
    """
    spread = np.linalg.norm(reference - reference.mean(axis=0))
    return float(np.linalg.norm(features - reference) / spread)


def _checked_error(network: Network, keras_network: Network, backbone: Backbone, most: float) -> float:
    images = _probes(backbone.size)
    error = feature_error(network(images), keras_network(images))
    if not error <= most:
        raise EngineError(
            f"features {backbone.id}: must differ from those of Keras in fp32 by at most {most:g} of their spread, got "
            f"{error:.2g}; it is not to be trusted on this machine, leave train.engine and train.precision out"
        )
    return error


def _probes(size: int) -> NDArray[np.float32]:
    """Make images of blotches and noise, each of another brightness and contrast."""
    rng = np.random.default_rng(0)
    blotches = rng.uniform(0, 1, (PROBES, -(-size // 8), -(-size // 8), 3)).repeat(8, axis=1).repeat(8, axis=2)
    noise = rng.uniform(0, 1, (PROBES, size, size, 3))
    contrast = np.linspace(0.3, 1, PROBES)[:, None, None, None]
    images: NDArray[np.float32] = (255 * contrast * (0.8 * blotches[:, :size, :size] + 0.2 * noise)).astype(np.float32)
    return images


def _in_keras(config: TrainConfig, size: int) -> Network:
    policy = {"fp32": "float32", "bf16": "mixed_bfloat16"}[config.precision]
    network: Network = keras_network(config, size, policy=policy)[0].predict_on_batch
    return network


def _in_openvino(config: TrainConfig, size: int) -> Network:
    from lidcflow.learn.openvino_network import openvino_network  # an extra, which may not be installed

    return openvino_network(keras_network(config, size)[0], config.precision)


_NETWORKS = {"keras": _in_keras, "openvino": _in_openvino}
