"""Fit a head on features in memory, preparing each batch while the previous one is used."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from lidcflow.config import TrainConfig
from lidcflow.errors import TrainingError
from lidcflow.learn.arithmetic import Figures, LinearHead, figures_of, mean_figures
from lidcflow.learn.heads import LOGITS_L2, STANDARDISED, build_head, logits_of
from lidcflow.learn.runtime import COMPILED, keras
from lidcflow.learn.training_set import CLASSES, class_weights

Floats = NDArray[np.float32]
Integers = NDArray[np.integer]


_fitting = threading.Lock()

Batch = TypeVar("Batch")


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
    rng = np.random.default_rng(seed)
    if config.head == "linear":
        linear = LinearHead(training.x.shape[1], learning_rate=config.learning_rate, l2=LOGITS_L2)
        history, best_epoch, best = _train(linear, training, held_out, config, rng)
    else:
        with _fitting:
            network = _KerasHead(_started_as(model, config))
            history, best_epoch, best = _train(network, training, held_out, config, rng)
    model.set_weights(best)
    shares = weights * np.bincount(y_train, minlength=CLASSES)
    return FittedHead(model, history, best_epoch, shares / shares.sum())


@cache
def _compiled(kind: str, features: int, learning_rate: float) -> tuple[keras.Model, list[NDArray[Any]]]:
    """Compile a head once in a process, with the state that its optimizer starts from.

    Tracing costs 0.4 s, more than most heads take to train: all of one shape take turns in one network.
    """
    standardised = keras.Input((features,), name=STANDARDISED)
    network = keras.Model(standardised, logits_of(kind, standardised, 0))
    network.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=COMPILED,
    )
    network.optimizer.build(network.trainable_variables)
    return network, [keras.ops.convert_to_numpy(variable) for variable in network.optimizer.variables]


def _started_as(model: keras.Model, config: TrainConfig) -> keras.Model:
    """Set the weights and seeds of a fresh head, and a fresh optimizer, in the compiled network."""
    network, optimizer_state = _compiled(config.head, model.input_shape[-1], config.learning_rate)
    for variable, fresh in zip(network.variables, model.variables, strict=True):
        variable.assign(fresh)
    for variable, start in zip(network.optimizer.variables, optimizer_state, strict=True):
        variable.assign(start)
    return network


@dataclass(frozen=True)
class _Examples:
    x: Floats
    y: Integers
    weight: Floats

    @classmethod
    def of(
        cls, x: NDArray[Any], y: NDArray[Any], weights: NDArray[np.float64], standardise: keras.layers.Layer
    ) -> "_Examples":
        standardised = keras.ops.convert_to_numpy(standardise(np.asarray(x, np.float32)))
        return cls(standardised, np.asarray(y, np.int32), weights[y].astype(np.float32))

    @property
    def arrays(self) -> tuple[Floats, Integers, Floats]:
        """Features, classes and weights."""
        return self.x, self.y, self.weight

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


class _Trainable(Protocol):
    """Interface of a learner from batches; `LinearHead` documents the methods."""

    def train_epoch(self, x: Floats, y: Integers, weight: Floats, batches: list[NDArray[np.intp]]) -> Figures: ...

    def measure(self, x: Floats, y: Integers, weight: Floats) -> Figures: ...

    def get_weights(self) -> list[NDArray[Any]]: ...


class _KerasHead:
    """A compiled network that is trained batch by batch."""

    def __init__(self, network: keras.Model) -> None:
        self._network = network

    def train_epoch(self, x: Floats, y: Integers, weight: Floats, batches: list[NDArray[np.intp]]) -> Figures:
        learn = self._network.train_on_batch
        return mean_figures(
            [figures_of(learn(x[rows], y[rows], sample_weight=weight[rows], return_dict=True)) for rows in batches]
        )

    def measure(self, x: Floats, y: Integers, weight: Floats) -> Figures:
        return figures_of(self._network.test_on_batch(x, y, sample_weight=weight, return_dict=True))

    def get_weights(self) -> list[NDArray[Any]]:
        return list(self._network.get_weights())


def _train(
    model: _Trainable,
    training: _Examples,
    held_out: dict[str, _Examples],
    config: TrainConfig,
    rng: np.random.Generator,
) -> tuple[dict[str, list[float]], int, list[NDArray[Any]]]:
    """Train and measure epoch by epoch; only the training and the validation loss decide which weights are best."""
    history: dict[str, list[float]] = {}
    best_epoch, best_weights = 0, model.get_weights()
    for epoch in range(config.epochs):
        batches = training.batches(config.batch_size, rng)
        figures = _named("", model.train_epoch(*training.arrays, batches))
        for split, examples in held_out.items():
            figures |= _named(f"{split}_", model.measure(*examples.arrays))
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


def _named(prefix: str, figures: Figures) -> dict[str, float]:
    return {f"{prefix}loss": figures[0], f"{prefix}accuracy": figures[1]}


def prefetch(batches: Iterator[Batch]) -> Iterator[Batch]:
    """Yield what `batches` yields, one of them made in advance in a thread.

    Examples
    --------
    >>> list(prefetch(iter([1, 2, 3])))
    [1, 2, 3]
    """
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, batches, None)
            yield batch
