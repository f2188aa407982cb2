"""Heads: small networks from a slice's features to the logits of the three classes."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lidcflow.config import TrainConfig
from lidcflow.errors import TrainingError
from lidcflow.learn.class_weights import CLASSES, class_weights
from lidcflow.learn.runtime import COMPILED, keras

if TYPE_CHECKING:
    from lidcflow.learn.calibration import Calibration

LOGITS_L2, HIDDEN_L2 = 1e-2, 1e-3
STANDARDISED = "standardised"


@dataclass(frozen=True)
class FittedHead:
    """A trained head and how it came about.

    Attributes
    ----------
    model : keras.Model
        (n, d) features -> (n, 3) logits; standardises the features itself.
    history : dict of lists
        ``loss``, ``accuracy``, ``val_loss``, ``val_accuracy``, and ``test_loss``, ``test_accuracy`` of slices that were
        only watched, one number an epoch. Losses are weighted by class, accuracies are not.
    best_epoch : int
        Epoch, from 0, whose weights the model holds: the lowest validation loss.
    class_shares : (3,) array
        Shares of the classes that the head learned at, class weights included; the calibration to
        natural prevalence starts from them.
    remark : str
        What came of finetuning, in a sentence; empty for a head on a frozen backbone.
    """

    model: keras.Model
    history: dict[str, list[float]]
    best_epoch: int
    class_shares: NDArray[np.float64]
    remark: str = ""


def fit_head(
    x_train: NDArray[np.floating],
    y_train: NDArray[np.integer],
    x_val: NDArray[np.floating],
    y_val: NDArray[np.integer],
    config: TrainConfig,
    seed: int,
    *,
    watched: tuple[NDArray[np.floating], NDArray[np.integer]] | None = None,
) -> FittedHead:
    """Train a head and keep the weights of the epoch with the lowest validation loss.

    Parameters
    ----------
    x_train, x_val : (n, d) arrays
        Features.
    y_train, y_val : (n,) arrays of int
        Classes 0 to 2.
    config : TrainConfig
        Head, epochs, batch size and learning rate.
    seed : int
        Seed of initial weights, order and dropout; same seed and machine, same head.
    watched : (n, d) features and (n,) classes, optional
        Test slices whose curves the history gets; the head is the same with and without them.

    Raises
    ------
    TrainingError
        If a set is empty, a class is absent from the training set, or the loss is not a number.
    """
    _check_sets(y_train, y_val)
    weights = class_weights(y_train)
    model = build_head(config.head, np.asarray(x_train, np.float32), seed)
    standardise = model.get_layer(STANDARDISED)
    training = _Examples.of(x_train, y_train, weights, standardise)
    held_out = {"val": _Examples.of(x_val, y_val, weights, standardise)}
    if watched is not None and len(watched[1]):
        held_out["test"] = _Examples.of(*watched, weights, standardise)
    with _fitting:
        network = _started_as(model, config)
        history, best_epoch, best = _train(network, training, held_out, config, np.random.default_rng(seed))
    model.set_weights(best)
    shares = weights * np.bincount(y_train, minlength=CLASSES)
    return FittedHead(model, history, best_epoch, shares / shares.sum())


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
    return keras.Model(inputs, _logits(kind, standardised, seed), name=f"{kind}_head")


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


def _logits(kind: str, standardised: keras.KerasTensor, seed: int) -> keras.KerasTensor:
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


@cache
def _compiled(kind: str, features: int, learning_rate: float) -> tuple[keras.Model, list[NDArray[Any]]]:
    """Compile a head once in a process, with the state that its optimizer starts from.

    Tracing costs 0.4 s, more than most heads take to train: all of one shape take turns in one network.
    """
    standardised = keras.Input((features,), name=STANDARDISED)
    network = keras.Model(standardised, _logits(kind, standardised, 0))
    network.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=COMPILED,
    )
    network.optimizer.build(network.trainable_variables)
    return network, [keras.ops.convert_to_numpy(variable) for variable in network.optimizer.variables]


_fitting = threading.Lock()


def _started_as(model: keras.Model, config: TrainConfig) -> keras.Model:
    """Give the compiled network the weights and the seeds of a fresh head, and a fresh optimizer."""
    network, optimizer_state = _compiled(config.head, model.input_shape[-1], config.learning_rate)
    for variable, fresh in zip(network.variables, model.variables, strict=True):
        variable.assign(fresh)
    for variable, start in zip(network.optimizer.variables, optimizer_state, strict=True):
        variable.assign(start)
    return network


@dataclass(frozen=True)
class _Examples:
    x: NDArray[np.float32]
    y: NDArray[np.int32]
    weight: NDArray[np.float32]

    @classmethod
    def of(
        cls, x: NDArray[Any], y: NDArray[Any], weights: NDArray[np.float64], standardise: keras.layers.Layer
    ) -> "_Examples":
        standardised = keras.ops.convert_to_numpy(standardise(np.asarray(x, np.float32)))
        return cls(standardised, np.asarray(y, np.int32), weights[y].astype(np.float32))

    def batches(self, size: int, rng: np.random.Generator) -> list[NDArray[np.intp]]:
        """Shuffle into batches of one size; the last takes some again, as another size would be traced anew."""
        order = rng.permutation(len(self.y))
        n_batches = -(-len(order) // size)
        return list(np.resize(order, (n_batches, min(size, len(order)))))


def _check_sets(y_train: NDArray[np.integer], y_val: NDArray[np.integer]) -> None:
    counts = np.bincount(y_train, minlength=CLASSES)
    if counts.min() == 0 or len(counts) > CLASSES:
        raise TrainingError(
            f"training set: must hold non-nodule, benign and malignant slices, got {counts.tolist()}; "
            "train on more series or on fewer sectors"
        )
    if len(y_val) == 0:
        raise TrainingError("validation set: must hold slices, got none; train on more series")


def _train(
    model: keras.Model,
    training: _Examples,
    held_out: dict[str, _Examples],
    config: TrainConfig,
    rng: np.random.Generator,
) -> tuple[dict[str, list[float]], int, list[NDArray[Any]]]:
    """Train and measure epoch by epoch; only the training and the validation loss decide which weights are best."""
    history: dict[str, list[float]] = {}
    best_epoch, best_weights = 0, model.get_weights()
    for epoch in range(config.epochs):
        figures = _train_epoch(model, training, config.batch_size, rng)
        for split, examples in held_out.items():
            figures |= _measure(model, examples, split)
        for name, value in figures.items():
            history.setdefault(name, []).append(value)
        if not np.isfinite([figures["loss"], figures["val_loss"]]).all():
            raise TrainingError(
                f"training: loss must be a number, got {figures['loss']} in epoch {epoch + 1}; "
                f"lower train.learning_rate ({config.learning_rate})"
            )
        if figures["val_loss"] <= min(history["val_loss"]):
            best_epoch, best_weights = epoch, model.get_weights()
    return history, best_epoch, best_weights


def _train_epoch(model: keras.Model, examples: _Examples, size: int, rng: np.random.Generator) -> dict[str, float]:
    model.reset_metrics()
    figures: dict[str, Any] = {}
    for batch in examples.batches(size, rng):
        figures = model.train_on_batch(
            examples.x[batch], examples.y[batch], sample_weight=examples.weight[batch], return_dict=True
        )
    return {name: float(figures[name]) for name in ("loss", "accuracy")}


def _measure(model: keras.Model, examples: _Examples, split: str) -> dict[str, float]:
    model.reset_metrics()
    figures = model.test_on_batch(examples.x, examples.y, sample_weight=examples.weight, return_dict=True)
    return {f"{split}_{name}": float(figures[name]) for name in ("loss", "accuracy")}
