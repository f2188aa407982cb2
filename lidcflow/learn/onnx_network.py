"""A backbone of one's own in an ONNX file, computed by OpenVINO: the extra `openvino` of the package.

Importing this module imports OpenVINO, and no Keras.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lidcflow.config.science import ImagesConfig
from lidcflow.errors import WeightsError
from lidcflow.learn.backbones import Backbone, Network

# Without its telemetry, as in `lidcflow.learn.openvino_network`.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
import openvino  # noqa: E402  after the line above

HINTS = {"fp32": "f32", "bf16": "bf16"}
"""OpenVINO's names of precisions."""

MOST_BYTES = 2**30


def onnx_network(file: Path, backbone: Backbone, images: ImagesConfig, precision: str) -> Network:
    """Compile an ONNX network for this processor.

    Parameters
    ----------
    file : Path
        The ONNX file; weights beside it are not read.
    backbone : Backbone
        What it must be.
    images : ImagesConfig
        What the network takes and makes.
    precision : "fp32" or "bf16"
        Numbers to compute with.

    Returns
    -------
    callable
        (n, size, size, 3) images of 0 to 255 -> (n, features) features.

    Raises
    ------
    WeightsError
        If the file has changed, is no ONNX network, or takes or makes other shapes.
    """
    model = _read(file, backbone.digest)
    _shape(model, file.name, backbone.size, images)
    settings = {"INFERENCE_PRECISION_HINT": HINTS[precision], "INFERENCE_NUM_THREADS": _threads()}
    compiled = openvino.Core().compile_model(model, "CPU", settings)

    def network(planes: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.array(compiled.infer_new_request({0: prepared(planes, images)})[0], np.float32)

    return network


def prepared(planes: NDArray[np.float32], images: ImagesConfig) -> NDArray[np.float32]:
    """Turn (n, size, size, 3) planes of 0 to 255 into the images of a network.

    Examples
    --------
    >>> planes = np.full((1, 2, 2, 3), 255, np.float32)
    >>> images = ImagesConfig(features=1, scale=1 / 255, std=(0.5, 1, 1), planes="bgr", layout="channels-first")
    >>> prepared(planes, images)[0, :, 0, 0].round(3).tolist()
    [2.0, 1.0, 1.0]
    """
    ordered = planes[..., ::-1] if images.planes == "bgr" else planes
    mean, std = np.array(images.mean, np.float32), np.array(images.std, np.float32)
    scaled = (ordered * np.float32(images.scale) - mean) / std
    laid = scaled.transpose(0, 3, 1, 2) if images.layout == "channels-first" else scaled
    return np.ascontiguousarray(laid, dtype=np.float32)


def _read(file: Path, digest: str) -> Any:
    """Read the network from the bytes that were checked: the file may be changed meanwhile."""
    if file.stat().st_size > MOST_BYTES:
        raise WeightsError(f"backbone {file.name}: must be a file of at most 1 GiB, got {file.stat().st_size} bytes")
    content = file.read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != digest:
        raise WeightsError(
            f"backbone {file.name}: SHA-256 must be {digest}, as it was a moment ago, got {found}; "
            "somebody changes the file, put the right one back and run again"
        )
    try:
        return openvino.Core().read_model(content, b"")
    except RuntimeError as error:
        reason = (str(error).strip().splitlines() or ["nothing readable"])[-1][:300]
        raise WeightsError(
            f"backbone {file.name}: must be an ONNX network with its weights inside, got {reason}; export it again as "
            "one file"
        ) from None


def _shape(model: Any, name: str, size: int, images: ImagesConfig) -> None:
    """Set the shape of the images, and check that of the features."""
    taken = [size, size, 3] if images.layout == "channels-last" else [3, size, size]
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise WeightsError(
            f"backbone {name}: must have one input and one output, got {len(model.inputs)} and {len(model.outputs)}; "
            "export it with these alone"
        )
    told = model.inputs[0].partial_shape
    if not told.compatible(openvino.PartialShape([-1, *taken])):
        raise WeightsError(
            f"backbone {name}: must take images of (n, {', '.join(map(str, taken))}), got {told}; set preprocess.size "
            f"or train.images.layout to fit, or export a network for {size} x {size} pixels"
        )
    batch = told[0] if told.rank.is_static else openvino.Dimension()
    model.reshape(openvino.PartialShape([batch, *taken]))
    made = model.outputs[0].partial_shape
    if batch.is_static or made.rank.get_length() != 2 or made[1] != openvino.Dimension(images.features):
        raise WeightsError(
            f"backbone {name}: must make (n, {images.features}) features of any number n of images, got {made}; "
            "correct train.images.features, or export it with a dynamic batch and a global pooling on top of its maps"
        )


def _threads() -> int:
    granted = os.environ.get("OMP_NUM_THREADS", "0")
    return int(granted.partition(",")[0])
