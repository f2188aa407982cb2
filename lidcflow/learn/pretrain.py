"""Training of the compact backbone on made-up chests: no patient's image or reading goes into its weights."""

import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lidcflow.blas import one_blas_thread
from lidcflow.learn.augment import augment
from lidcflow.learn.chests import SIZE, PretrainingSet, make_pretraining_set
from lidcflow.learn.compact import compact_layers, write_weights
from lidcflow.learn.fitting import prefetch
from lidcflow.learn.inputs import model_input
from lidcflow.learn.rates import warmed_cosine
from lidcflow.learn.runtime import is_run_eagerly, keras
from lidcflow.stats.metrics import auroc

CELL = 8
"""Pixels of a cell: the last stage of the backbone sees the image in cells of 8 x 8."""

NODULE_AT = 0.2
"""Share of nodule in a pixel from which it counts: a nodule of one pixel, moved, keeps a quarter in each of four."""

CELL_LOSS_WEIGHT = 100.0
"""About one cell in a hundred holds a nodule."""

PART, PART_STEPS = 64, 0.7
"""Size of the parts of slices, and share of the steps, that training starts with: nodules fill more of them."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class PretrainSettings:
    """Settings of pretraining the compact backbone; the defaults made the weights in this package.

    Attributes
    ----------
    volumes, held_out : int
        Made-up chests to train on and to judge by.
    nodules : float
        Mean number of nodules in a chest to train on; those to judge by have as many as patients have.
    steps, batch_size : int
        Steps of the optimizer and whole slices in each.
    learning_rate : float
        Highest rate; it rises for a twentieth of the steps and falls along a cosine.
    seed : int
        Seed of the chests, the initial weights and the variations.
    processes : int
        Processes that make chests.
    precision : str
        Keras' policy while training.
    """

    volumes: int = 240
    held_out: int = 30
    nodules: float = 12.0
    steps: int = 7000
    batch_size: int = 32
    learning_rate: float = 2e-3
    seed: int = 0
    processes: int = 2
    precision: str = "mixed_bfloat16"


@dataclass(frozen=True)
class PretrainReport:
    """Result of a pretraining: the weight file, its digest, and figures on held-out chests.

    Attributes
    ----------
    file : Path
        The weight file.
    sha256 : str
        Its digest, for ``train.backbone_sha256``.
    nodule_auroc, malignant_auroc : float
        On all slices of the held-out chests: nodule or not; malignant or benign among nodule slices.
    wall_s : float
        Time it took.
    """

    file: Path
    sha256: str
    nodule_auroc: float
    malignant_auroc: float
    wall_s: float


def pretrain(
    out: Path,
    settings: PretrainSettings = PretrainSettings(),
    *,
    work: Path | None = None,
    on_progress: Progress | None = None,
) -> PretrainReport:
    """Train the compact backbone on made-up chests and write its weights.

    Parameters
    ----------
    out : Path
        The ``.npz`` file to write.
    settings : PretrainSettings
        Size of the job and its seed.
    work : Path, optional
        Folder for the made-up chests, 5.3 MB each, deleted afterwards; by default the temporary folder.
    on_progress : callable, optional
        Called with a stage's name, what is done and what there is to do.
    """
    started = time.monotonic()
    report = on_progress or _silent
    with tempfile.TemporaryDirectory(prefix="lidcflow-pretrain-", dir=work) as folder:
        practice, exam = _make_chests(Path(folder), settings, report)
        model = pretraining_network(settings)
        _train(model, practice, settings, report)
        nodule_auroc, malignant_auroc = score_chests(model, exam)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_weights(keras.Model(model.input, model.get_layer("features").output), out)
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    return PretrainReport(out, digest, nodule_auroc, malignant_auroc, time.monotonic() - started)


def _silent(stage: str, done: int, total: int) -> None:
    """Report to nobody."""


def _make_chests(folder: Path, settings: PretrainSettings, report: Progress) -> tuple[PretrainingSet, PretrainingSet]:
    """Make chests to train on and, from seeds far away, to judge by."""
    first = settings.seed * 1_000_000
    total = settings.volumes + settings.held_out
    (folder / "practice").mkdir()
    (folder / "exam").mkdir()
    practice = make_pretraining_set(
        folder / "practice",
        range(first, first + settings.volumes),
        nodules=settings.nodules,
        processes=settings.processes,
        on_progress=lambda done, _: report("chests", done, total),
    )
    exam = make_pretraining_set(
        folder / "exam",
        range(first + 500_000, first + 500_000 + settings.held_out),
        processes=settings.processes,
        on_progress=lambda done, _: report("chests", settings.volumes + done, total),
    )
    return practice, exam


def pretraining_network(settings: PretrainSettings) -> keras.Model:
    """Build the backbone with two heads that exist for its training only, compiled.

    Returns
    -------
    keras.Model
        (n, rows, columns, 3) images -> ``slice``: (n, 3) logits of the image's class, and ``cells``:
        (n, rows / 8, columns / 8, 2) logits of benign and malignant nodule in each cell.
    """
    images = keras.Input((None, None, 3), name="images")
    features, maps = compact_layers(images, dtype=settings.precision, seed=settings.seed)
    spared = keras.layers.Dropout(0.2, seed=settings.seed, name="spared")(features)
    rare = keras.initializers.Constant(-3.0)
    outputs = {
        "slice": keras.layers.Dense(3, kernel_initializer="zeros", name="slice")(spared),
        "cells": keras.layers.Conv2D(2, 1, kernel_initializer="zeros", bias_initializer=rare, name="cells")(maps),
    }
    model = keras.Model(images, outputs)
    model.compile(
        optimizer=_optimizer(settings),
        loss={
            "slice": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            "cells": keras.losses.BinaryFocalCrossentropy(from_logits=True, apply_class_balancing=True, alpha=0.9),
        },
        loss_weights={"slice": 1.0, "cells": CELL_LOSS_WEIGHT},
        jit_compile=False,
        run_eagerly=is_run_eagerly(settings.steps),
    )
    model.optimizer.build(model.trainable_variables)  # TensorFlow traces a step twice if the first one makes them
    return model


def _optimizer(settings: PretrainSettings) -> keras.Optimizer:
    rate = warmed_cosine(settings.learning_rate, settings.steps, least=0.0)
    return keras.optimizers.AdamW(rate, weight_decay=1e-4, clipnorm=1.0)


def _train(model: keras.Model, practice: PretrainingSet, settings: PretrainSettings, report: Progress) -> None:
    with one_blas_thread():
        for step, (images, targets) in enumerate(prefetch(_batches(practice, settings)), start=1):
            model.train_on_batch(images, targets)
            report("steps", step, settings.steps)


Batch = tuple[NDArray[np.float32], dict[str, NDArray[np.generic]]]


def _batches(practice: PretrainingSet, settings: PretrainSettings) -> Iterator[Batch]:
    """Yield parts of slices, twice as many, then whole slices; half of them hold a nodule."""
    rng = np.random.default_rng(settings.seed)
    with_nodule, without = np.argwhere(practice.labels > 0), np.argwhere(practice.labels == 0)
    for step in range(settings.steps):
        part = step < PART_STEPS * settings.steps
        half = settings.batch_size if part else settings.batch_size // 2
        chosen = np.concatenate([rng.choice(with_nodule, half), rng.choice(without, half)])
        yield _batch(practice, chosen, PART if part else SIZE, rng)


def _batch(practice: PretrainingSet, chosen: NDArray[np.intp], size: int, rng: np.random.Generator) -> Batch:
    volumes, slices = chosen.T
    hu, shares = augment(practice.hu[volumes, slices], practice.masks[volumes, slices], size, rng)
    holds = shares.max(axis=(2, 3)) > NODULE_AT
    labels = np.where(holds[:, 1], 2, holds[:, 0])
    return model_input(np.swapaxes(hu, 0, 1), "projections"), {"slice": labels, "cells": _cells(shares)}


def _cells(masks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Reduce (n, 2, rows, columns) shares to (n, rows / 8, columns / 8, 2) of 0 or 1."""
    n, classes, rows, columns = masks.shape
    blocks = masks.reshape(n, classes, rows // CELL, CELL, columns // CELL, CELL)
    return np.asarray(np.moveaxis(blocks.max(axis=(3, 5)), 1, -1) > NODULE_AT, np.float32)


def score_chests(model: keras.Model, exam: PretrainingSet) -> tuple[float, float]:
    """Score held-out chests slice by slice, at the prevalence they come with.

    Parameters
    ----------
    model : keras.Model
        From `pretraining_network`.
    exam : PretrainingSet
        Chests that were not trained on.

    Returns
    -------
    nodule_auroc, malignant_auroc : float
        Nodule or not, on all slices; malignant or benign, on slices with a nodule. Not a number
        where there is only one of the two.
    """
    labels = exam.labels.ravel()
    images = (model_input(np.swapaxes(hu, 0, 1), "projections") for hu in exam.hu)
    logits = np.concatenate([np.asarray(model.predict_on_batch(volume)["slice"], np.float64) for volume in images])
    nodule = np.logaddexp(logits[:, 1], logits[:, 2]) - logits[:, 0]
    holds = labels > 0
    malignant = logits[holds, 2] - logits[holds, 1]
    return auroc(nodule, holds), auroc(malignant, labels[holds] == 2)
