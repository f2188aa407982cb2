"""A head as plain NumPy, read from its `.keras` file without Keras, whose import takes 5 s of CPU."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from lidcflow.learn.network_check import WEIGHTS, check_network

Rows = NDArray[np.floating]

Step = Callable[[Rows], Rows]

EPSILON = 1e-7
"""Keras' own, unless somebody changes it in a process."""

Arrays = Mapping[str, Sequence[NDArray[np.float32]]]


class NumpyHead:
    """A head of standard layers, one after another, as NumPy.

    Parameters
    ----------
    steps : list of callable
        From (n, d) to (n, d'), in their order.
    """

    def __init__(self, steps: list[Step]) -> None:
        self._steps = steps

    def __call__(self, features: Rows, training: bool = False) -> Rows:  # noqa: ARG002  as a Keras model is called
        """Return the head's output for features."""
        for step in self._steps:
            features = step(features)
        return features


class NumpyEnsemble:
    """Heads whose probabilities are averaged.

    Parameters
    ----------
    members : list of callable
        From (n, d) features to (n, 3) probabilities; the first was trained without the patients of fold 1.
    """

    def __init__(self, members: list[Any]) -> None:
        self.members = members

    def __call__(self, features: Rows, training: bool = False) -> Rows:
        """Return the mean of what the members make of features."""
        answers = [np.asarray(member(features, training=training)) for member in self.members]
        return np.asarray(np.mean(answers, axis=0, dtype=np.float32))


class _NotPlain(Exception):
    """A network that is not such a head."""


def read_head(file: Path) -> NumpyHead | NumpyEnsemble | None:
    """Read a head of standard layers, one after another, or an average of such heads; return None for every other file.

    Parameters
    ----------
    file : Path
        A `.keras` file that nobody else can change meanwhile.

    Returns
    -------
    NumpyHead or NumpyEnsemble
        The arithmetic that `lidcflow.learn.arithmetic.numpy_head` makes of the network when Keras has loaded it.
    """
    try:
        config = check_network(file)
        with zipfile.ZipFile(file) as archive, h5py.File(io.BytesIO(archive.read(WEIGHTS)), "r") as weights:
            return _ensemble(config, weights) if _is_average(config) else _head(config, weights)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, zipfile.BadZipFile, _NotPlain):
        return None


def normalised(mean: ArrayLike, variance: ArrayLike, epsilon: float) -> Step:
    """Return the step that subtracts a mean and divides by a deviation."""
    centre, spread = np.asarray(mean, np.float32), np.asarray(variance, np.float32)
    deviation = np.maximum(np.sqrt(spread), np.float32(epsilon))
    return lambda rows: (rows - centre) / deviation


def dense(kernel: NDArray[np.float32], bias: NDArray[np.float32], *, relu: bool) -> Iterator[Step]:
    """Yield the steps of a dense layer."""
    yield lambda rows: rows @ kernel + bias
    if relu:
        yield lambda rows: np.maximum(rows, np.float32(0))


def rescaled(scale: float, offset: ArrayLike) -> Step:
    """Return the step that multiplies by a scale and adds an offset."""
    factor, shift = np.float32(scale), np.asarray(offset, np.float32)
    return lambda rows: rows * factor + shift


def softmax(rows: Rows) -> Rows:
    """Turn logits into probabilities."""
    powers = np.exp(rows - rows.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _is_average(config: Mapping[str, Any]) -> bool:
    return bool(config["config"]["layers"][-1]["class_name"] == "Average")


def _ensemble(config: Mapping[str, Any], weights: h5py.Group) -> NumpyEnsemble:
    """Return the average of heads that all take the input of the network."""
    inputs, *members, average = _layers(config)
    (node,) = average["inbound_nodes"]
    (averaged,) = node["args"]
    _require(_taken(averaged) == [member["config"]["name"] for member in members] and not any(node["kwargs"].values()))
    for member in members:
        _require(_taken_by(member) == [inputs["config"]["name"]])
    groups = _groups(weights)
    return NumpyEnsemble([_head(member, groups[member["config"]["name"]]) for member in members])


def _head(config: Mapping[str, Any], weights: h5py.Group) -> NumpyHead:
    """Return a head whose every layer takes what the one before it makes, from vectors to the end."""
    layers, arrays = _layers(config), _arrays(weights)
    names = [layer["config"]["name"] for layer in layers]
    for before, layer in zip(names, layers[1:], strict=False):
        _require(_taken_by(layer) == [before])
    for layer in layers:
        dtype = layer["config"].get("dtype", "float32")
        _require(dtype == "float32" or dtype["config"] == {"name": "float32"})
    return NumpyHead([step for layer in layers for step in _STEPS[layer["class_name"]](layer["config"], arrays)])


def _layers(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the layers of a network from vectors, which ends with the last of them."""
    network = config["config"]
    layers: list[Mapping[str, Any]] = network["layers"]
    names = [layer["config"]["name"] for layer in layers]
    _require(config["class_name"] == "Functional" and len(set(names)) == len(names))
    _require(network["input_layers"] == [names[0], 0, 0] and network["output_layers"] == [names[-1], 0, 0])
    _require(len(layers[0]["config"]["batch_shape"]) == 2 and not layers[0]["inbound_nodes"])
    return layers


def _taken_by(layer: Mapping[str, Any]) -> list[str]:
    """Return the names of the layers whose results a layer is called with, once."""
    (node,) = layer["inbound_nodes"]
    _require(not any(node["kwargs"].values()))
    return _taken(node["args"])


def _taken(tensors: Sequence[Mapping[str, Any]]) -> list[str]:
    histories = [tensor["config"]["keras_history"] for tensor in tensors]
    _require(all(history[1:] == [0, 0] for history in histories))
    return [history[0] for history in histories]


def _groups(weights: h5py.Group) -> dict[str, h5py.Group]:
    """Return the weights of each layer by its name."""
    return {str(group["vars"].attrs["name"]): group for group in weights["layers"].values()}


def _arrays(weights: h5py.Group) -> Arrays:
    """Return the arrays of each layer by its name, in Keras' order."""
    return {
        name: [np.array(group["vars"][str(number)], np.float32) for number in range(len(group["vars"]))]
        for name, group in _groups(weights).items()
    }


def _nothing(_: Mapping[str, Any], __: Arrays) -> Iterator[Step]:
    yield from ()


def _normalization(config: Mapping[str, Any], _: Arrays) -> Iterator[Step]:
    _require(config["axis"] == [-1] and not config["invert"])
    yield normalised(config["mean"], config["variance"], EPSILON)


def _dense(config: Mapping[str, Any], arrays: Arrays) -> Iterator[Step]:
    _require(config["activation"] in ("linear", "relu") and config["use_bias"])
    kernel, bias = arrays[config["name"]]
    _require(kernel.ndim == 2 and kernel.shape[1] == config["units"] and bias.shape == (config["units"],))
    yield from dense(kernel, bias, relu=config["activation"] == "relu")


def _rescaling(config: Mapping[str, Any], _: Arrays) -> Iterator[Step]:
    yield rescaled(config["scale"], config["offset"])


def _softmax(config: Mapping[str, Any], _: Arrays) -> Iterator[Step]:
    _require(config["axis"] in (-1, [-1]))
    yield softmax


def _require(fits: bool) -> None:
    if not fits:
        raise _NotPlain


_STEPS: dict[str, Callable[[Mapping[str, Any], Arrays], Iterator[Step]]] = {
    "InputLayer": _nothing,
    "Dropout": _nothing,
    "Normalization": _normalization,
    "Dense": _dense,
    "Rescaling": _rescaling,
    "Softmax": _softmax,
}
"""Arithmetic of each layer of a head. A wrong assumption shows in `_agree`."""
