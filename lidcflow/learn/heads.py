"""Heads: small networks from a slice's features to the logits of the three classes."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lidcflow.learn.runtime import keras
from lidcflow.learn.training_set import CLASSES

if TYPE_CHECKING:
    from lidcflow.stats.calibration import Calibration

LOGITS_L2, HIDDEN_L2 = 1e-2, 1e-3
STANDARDISED = "standardised"


def build_head(kind: str, features: NDArray[np.float32], seed: int) -> keras.Model:
    """Build an untrained head that standardises features as `features` need it.

    Parameters
    ----------
    kind : "linear", "mlp" or "paper"
        ``linear`` has L2; ``mlp`` is one layer of 128; ``paper`` two layers of 1024 with dropout 0.5.
    features : (n, d) array
        Training features, for mean and variance.
    seed : int
        Seed of initial weights and dropout.
    """
    mean, variance = features.mean(axis=0, dtype=np.float64), features.var(axis=0, dtype=np.float64)
    inputs = keras.Input((features.shape[1],), name="features")
    standardised = keras.layers.Normalization(mean=mean, variance=variance + 1e-6, name=STANDARDISED)(inputs)
    return keras.Model(inputs, logits_of(kind, standardised, seed), name=f"{kind}_head")


def calibrated_model(model: keras.Model, calibration: "Calibration") -> keras.Model:
    """Put a calibration on top of a head.

    Parameters
    ----------
    model : keras.Model
        (n, d) features -> (n, 3) logits.
    calibration : Calibration
        Scale and offsets of the logits.

    Returns
    -------
    keras.Model
        (n, d) features -> (n, 3) probabilities; standard layers only, so that it loads in safe mode.
    """
    logits = keras.layers.Rescaling(
        float(calibration.scale), offset=[float(offset) for offset in calibration.offsets], name="calibrated"
    )(model.output)
    return keras.Model(model.input, keras.layers.Softmax(name="probabilities")(logits), name=model.name)


def averaged_model(members: Sequence[keras.Model]) -> keras.Model:
    """Put calibrated heads beside each other and average their probabilities.

    Parameters
    ----------
    members : sequence of keras.Model
        (n, d) features -> (n, 3) probabilities; two at least.

    Returns
    -------
    keras.Model
        As each of them; it holds them as layers named ``fold-1`` and so on, in their order.
    """
    named = [keras.Model(one.input, one.output, name=f"fold-{number}") for number, one in enumerate(members, start=1)]
    inputs = keras.Input(members[0].input_shape[1:], name="features")
    mean = keras.layers.Average(name="mean")([member(inputs) for member in named])
    return keras.Model(inputs, mean, name=f"{members[0].name}_folds")


def logits_of(kind: str, standardised: keras.KerasTensor, seed: int) -> keras.KerasTensor:
    """Put the layers of a head on standardised features."""
    logits = keras.layers.Dense(
        CLASSES, kernel_initializer="zeros", kernel_regularizer=keras.regularizers.L2(LOGITS_L2), name="logits"
    )
    return logits(_HIDDEN[kind](standardised, seed))


def _linear(features: keras.KerasTensor, seed: int) -> keras.KerasTensor:  # noqa: ARG001
    return features


def _mlp(features: keras.KerasTensor, seed: int) -> keras.KerasTensor:
    hidden = _dense(128, "hidden1", seed + 1, l2=HIDDEN_L2)(features)
    return keras.layers.Dropout(0.3, seed=seed + 2, name="dropout1")(hidden)


def _paper(features: keras.KerasTensor, seed: int) -> keras.KerasTensor:
    for layer in (1, 2):
        features = _dense(1024, f"hidden{layer}", seed + 2 * layer)(features)
        features = keras.layers.Dropout(0.5, seed=seed + 2 * layer + 1, name=f"dropout{layer}")(features)
    return features


_HIDDEN: dict[str, Callable[[keras.KerasTensor, int], keras.KerasTensor]] = {
    "linear": _linear,
    "mlp": _mlp,
    "paper": _paper,
}


def _dense(units: int, name: str, seed: int, *, l2: float = 0.0) -> keras.layers.Dense:
    return keras.layers.Dense(
        units,
        activation="relu",
        kernel_initializer=keras.initializers.GlorotUniform(seed=seed),
        kernel_regularizer=keras.regularizers.L2(l2) if l2 else None,
        name=name,
    )
