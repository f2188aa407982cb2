"""Finetune a sector's network: the last blocks of the backbone and the head on them, end to end."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from lidcflow.config import TrainConfig
from lidcflow.errors import TrainingError
from lidcflow.learn.arithmetic import figures_of, mean_figures
from lidcflow.learn.fitting import FittedHead, fit_head, prefetch
from lidcflow.learn.maps import StoredMaps
from lidcflow.learn.networks import load_top
from lidcflow.learn.runtime import COMPILED, keras
from lidcflow.learn.training_set import class_weights

POLICIES = {"fp32": "float32", "bf16": "mixed_bfloat16"}

History = dict[str, list[float]]


def finetune(
    training: StoredMaps, held_out: Mapping[str, StoredMaps], config: TrainConfig, *, size: int, seed: int
) -> FittedHead:
    """Fit the head on the blocks as they were pretrained, then train both until the validation loss stops falling.

    Where the training starts from counts as an epoch: the network that comes out is never worse on validation than the
    head on the frozen backbone is. A sector whose validation slices hold no nodule stays there, as nothing would tell
    when to stop.

    Parameters
    ----------
    training : StoredMaps
        Slices to learn from, and their views.
    held_out : mapping
        ``val``: what chooses the epoch; ``test``, if there: what is watched only.
    config : TrainConfig
        Head, and how to finetune.
    size : int
        Rows and columns of the volumes.
    seed : int
        Seed of the head, the order and the views that are drawn.

    Returns
    -------
    FittedHead
        Its model: (n, rows, columns, channels) maps -> (n, 3) logits, in float32. Its history: the epochs of the head
        on the frozen blocks, then those end to end.

    Raises
    ------
    TrainingError
        If a class is absent from the training slices, or the loss is not a number.
    """
    top = load_top(config, size, policy=POLICIES[config.finetune.precision])
    head = _warm_start(top, training, held_out, config, seed)
    network = _joined(top, head.model)
    history, best_epoch, remark = head.history, head.best_epoch, ""
    if (held_out["val"].labels > 0).any():
        tuned, best = _train(network, training, held_out, config, np.random.default_rng(seed))
        history = {name: [*values, *tuned[name]] for name, values in head.history.items()}
        best_epoch = head.best_epoch if best is None else len(head.history["loss"]) + best
        remark = _said(best, len(tuned["loss"]))
    else:
        remark = "not finetuned: no validation slice of the sector holds a nodule, so nothing would tell when to stop"
    released = load_top(config, size)
    released.set_weights(top.get_weights())
    return FittedHead(_joined(released, head.model), history, best_epoch, head.class_shares, remark)


def _warm_start(
    top: keras.Model, training: StoredMaps, held_out: Mapping[str, StoredMaps], config: TrainConfig, seed: int
) -> FittedHead:
    """Fit a head on the features that the blocks make as they were pretrained."""
    watched = (held_out["test"].outputs(top), held_out["test"].labels) if "test" in held_out else None
    validation = held_out["val"]
    return fit_head(
        training.outputs(top),
        training.labels,
        validation.outputs(top),
        validation.labels,
        config,
        seed,
        watched=watched,
    )


def _joined(top: keras.Model, head: keras.Model) -> keras.Model:
    maps = keras.Input(top.input_shape[1:], name="maps")
    return keras.Model(maps, head(top(maps)), name=f"{head.name}_on_{top.name}")


def _said(best: int | None, epochs: int) -> str:
    if best is None:
        return f"as before finetuning: none of {epochs} epochs made the validation loss lower"
    return f"epoch {best + 1} of {epochs} of finetuning"


def _train(
    network: keras.Model,
    training: StoredMaps,
    held_out: Mapping[str, StoredMaps],
    config: TrainConfig,
    rng: np.random.Generator,
) -> tuple[History, int | None]:
    """Train until patience ends, and leave the network at its best epoch, or where it started: None."""
    network.compile(
        optimizer=keras.optimizers.Adam(config.finetune.learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=COMPILED,
    )
    network.optimizer.build(network.trainable_variables)  # TensorFlow traces a step twice if the first one makes them
    weights = class_weights(training.labels)
    lowest, best, kept = _measure(network, held_out["val"], weights)[0], None, network.get_weights()
    history: History = {}
    for epoch in range(config.finetune.epochs):
        figures = _train_epoch(network, training, weights, config.batch_size, rng)
        for split, maps in held_out.items():
            figures[f"{split}_loss"], figures[f"{split}_accuracy"] = _measure(network, maps, weights)
        _check(figures, epoch, config.finetune.learning_rate)
        for name, value in figures.items():
            history.setdefault(name, []).append(value)
        if figures["val_loss"] < lowest:
            lowest, best, kept = figures["val_loss"], epoch, network.get_weights()
        elif epoch - (-1 if best is None else best) >= config.finetune.patience:
            break
    network.set_weights(kept)
    return history, best


def _train_epoch(
    network: keras.Model, training: StoredMaps, weights: NDArray[np.float64], size: int, rng: np.random.Generator
) -> dict[str, float]:
    seen = []
    for maps, places in prefetch(training.batches(size, rng)):
        labels = training.labels[places].astype(np.int32)
        weight = weights[labels].astype(np.float32)
        seen.append(figures_of(network.train_on_batch(maps, labels, sample_weight=weight, return_dict=True)))
    loss, accuracy = mean_figures(seen)
    return {"loss": loss, "accuracy": accuracy}


def _measure(network: keras.Model, maps: StoredMaps, weights: NDArray[np.float64]) -> tuple[float, float]:
    """Return the loss of slices, weighted by class and with the penalties of the head, and their accuracy."""
    logits, labels = maps.outputs(network), maps.labels
    of_truth = log_softmax(logits.astype(np.float64), axis=1)[np.arange(len(labels)), labels]
    penalty = sum(float(keras.ops.convert_to_numpy(loss)) for loss in network.losses)
    return float((weights[labels] * -of_truth).mean() + penalty), float((logits.argmax(axis=1) == labels).mean())


def _check(figures: Mapping[str, float], epoch: int, learning_rate: float) -> None:
    if not np.isfinite([figures["loss"], figures["val_loss"]]).all():
        raise TrainingError(
            f"finetuning: loss must be a number, got {figures['loss']} in training and {figures['val_loss']} on "
            f"validation in epoch {epoch + 1}; lower train.finetune.learning_rate ({learning_rate:g})"
        )
