"""A backbone in OpenVINO: the one module that knows it, an extra of the package.

Importing this module imports OpenVINO and Keras.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lidcflow.errors import EngineError
from lidcflow.learn.runtime import keras, threads

# Without its telemetry, which reports each conversion to its maker unless it can't be imported.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
import openvino  # noqa: E402  after the line above
from openvino.frontend.tensorflow import utils  # noqa: E402

HINTS = {"fp32": "f32", "bf16": "bf16"}
"""OpenVINO's names of precisions; without a hint it takes bf16 by itself where the processor has it."""


def openvino_network(model: keras.Model, precision: str) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """Convert a Keras model, in a second or five, and compile it for this processor.

    Parameters
    ----------
    model : keras.Model
        Of one input and one output.
    precision : "fp32" or "bf16"
        Numbers to compute with; a processor without bf16 computes with fp32 all the same.

    Returns
    -------
    callable
        What `model.predict_on_batch` is, within the precision; with as many threads as this process may have.

    Raises
    ------
    EngineError
        If Keras runs on another backend than TensorFlow, whose graphs alone can be converted.
    """
    if keras.backend.backend() != "tensorflow":
        raise EngineError(
            "engine openvino: Keras must run on TensorFlow for the conversion, got "
            f'{keras.backend.backend()}; unset KERAS_BACKEND, or set train.engine = "keras"'
        )
    compiled = _compiled(model, {"INFERENCE_PRECISION_HINT": HINTS[precision], "INFERENCE_NUM_THREADS": threads() or 0})

    def network(images: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.array(compiled.infer_new_request({0: images})[0], np.float32)

    return network


def _compiled(model: keras.Model, settings: dict[str, Any]) -> Any:
    core = openvino.Core()
    core.set_property({"ENABLE_MMAP": False})  # the files go away below
    _mend_conversion()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "backbone.xml"
        model.export(str(file), format="openvino", verbose=False)
        return core.compile_model(core.read_model(file), "CPU", settings)


def _mend_conversion() -> None:
    """Replace the function by which OpenVINO asks for TensorFlow's version before a conversion.

    Its own one deletes a name that an `exec` before has made; from Python 3.13 on there is none (PEP 667).
    """
    utils.get_environment_setup = lambda _framework: {"tensorflow": sys.modules["tensorflow"].__version__}
