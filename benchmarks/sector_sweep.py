"""Time the sweep over 1, 5 and 13 sectors: features once and heads on them, against fitting through the backbone.

    python benchmarks/sector_sweep.py [--volumes 30] [--epochs 10] [--backbone compact] [--sizes 128 64]

Both sides train the same heads on the same slices of one snapshot of made-up chests, same epochs, batch
size, optimizer and class weights, and score validation slices after every epoch. The slow side is what
`model.fit` on images with a frozen backbone inside costs; its images wait in memory, already windowed.
ResNet-50 gets random weights, which cost what any cost.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
from figures import record_ratio

from lidcflow.config import SplitConfig, TrainConfig
from lidcflow.learn.chests import SIZE, PretrainingSet, make_pretraining_set
from lidcflow.learn.features import model_input, series_features
from lidcflow.learn.fitting import fit_head
from lidcflow.learn.heads import build_head
from lidcflow.learn.networks import load_backbone
from lidcflow.learn.runtime import keras
from lidcflow.learn.snapshot import Snapshot, build_snapshot, lacking_classes, sector_rows
from lidcflow.learn.training_set import class_weights
from lidcflow.volume.sectors import sector_slices

SECTOR_NUMS = (1, 5, 13)
FIRST_SEED = 40_000_000


def main() -> None:
    """Print the times of each size and their ratios."""
    options = parse_options()
    with tempfile.TemporaryDirectory() as folder:
        config = train_config(options, Path(folder))
        seeds = range(FIRST_SEED, FIRST_SEED + options.volumes)
        chests = make_pretraining_set(Path(folder), seeds, processes=2)
        snapshot = snapshot_of(chests)
        jobs = list(sector_jobs(snapshot, config))
        print(f"{len(snapshot.table)} slices of {options.volumes} chests, {len(jobs)} heads, {config.epochs} epochs")
        for size in options.sizes:
            compare(scaled(chests, size), jobs, config, size)


def train_config(options: argparse.Namespace, folder: Path) -> TrainConfig:
    """Return the settings of both sides."""
    config = TrainConfig(epochs=options.epochs, balance=options.balance, backbone=options.backbone)
    if options.backbone == "compact":
        return config
    return config.model_copy(update={"backbone_weights": random_resnet50(folder)})


def random_resnet50(folder: Path) -> Path:
    """Write weights as Keras publishes them, save that they are random."""
    file = folder / "resnet50.weights.h5"
    keras.applications.ResNet50(include_top=False, weights=None, input_shape=(64, 64, 3)).save_weights(file)
    return file


def scaled(chests: PretrainingSet, size: int) -> list[np.ndarray]:
    """Average the pixels of the chests to a smaller size, (2, slices, size, size) each."""
    factor = SIZE // size
    parts = [np.swapaxes(hu, 0, 1).reshape(2, -1, size, factor, size, factor) for hu in chests.hu]
    return [part.mean(axis=(3, 5)).astype(np.int16) for part in parts]


def compare(volumes: list[np.ndarray], jobs: list, config: TrainConfig, size: int) -> None:
    """Time both sides at one size."""
    load_backbone(config, size)
    print(f"{config.backbone}, {size} x {size}")
    through_s = timed("fitting through the backbone", lambda: fit_through_backbone(volumes, jobs, config))
    features_s = timed("features, once", lambda: features_of(volumes, config))
    features = features_of(volumes, config)
    heads_s = timed("heads on cached features", lambda: fit_on_features(features, jobs, config))
    record_ratio("through the backbone: its time by ours, features included", through_s / (features_s + heads_s))
    record_ratio("through the backbone: its time by ours, features stored", through_s / heads_s)
    print(f"  first run {through_s / (features_s + heads_s):.0f} times, cached {through_s / heads_s:.0f} times as fast")


def parse_options() -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--volumes", type=int, default=30)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--balance", choices=["none", "cap_non_nodule", "equal"], default="none")
    parser.add_argument("--backbone", choices=["compact", "resnet50"], default="compact")
    parser.add_argument("--sizes", type=int, nargs="+", choices=[128, 64], default=[128, 64])
    return parser.parse_args()


def timed(name: str, work) -> float:
    """Print and return the wall time of `work`."""
    started = time.perf_counter()
    work()
    wall_s = time.perf_counter() - started
    print(f"  {name}: {wall_s:.2f} s", flush=True)
    return wall_s


def snapshot_of(chests: PretrainingSet) -> Snapshot:
    """Make a snapshot in which each chest is a patient named by its place in the set."""
    names = [f"{index:04d}" for index in range(len(chests.labels))]
    records = [SimpleNamespace(series_instance_uid=name, patient_key=name, volume_digest="") for name in names]
    labels = {name: chests.labels[int(name)].astype(np.int8) for name in names}
    return build_snapshot(records, labels, SplitConfig())


def sector_jobs(snapshot: Snapshot, config: TrainConfig) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Yield training and validation rows of every sector of the sweep that has all classes to train on."""
    for sector_num in SECTOR_NUMS:
        for slices in sector_slices(65, sector_num):
            if not lacking_classes(snapshot, slices):
                rows = sector_rows(snapshot, slices, config.balance, config.cap, config.seed)
                yield rows[rows["split"] == "train"], rows[rows["split"] == "validation"]


def places(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return chest, slice from 0 and label of each row."""
    chest = rows["series_instance_uid"].astype(int).to_numpy()
    return chest, rows["slice"].to_numpy() - 1, rows["label"].to_numpy()


def features_of(volumes: list[np.ndarray], config: TrainConfig) -> np.ndarray:
    """Compute the features of every slice."""
    model, backbone = load_backbone(config, volumes[0].shape[-1])
    return np.stack([series_features(model.predict_on_batch, hu, backbone) for hu in volumes])


def fit_on_features(features: np.ndarray, jobs: list, config: TrainConfig) -> None:
    """Fit all heads on features that are there."""
    for training, validation in jobs:
        *train_at, y_train = places(training)
        *val_at, y_val = places(validation)
        fit_head(features[*train_at], y_train, features[*val_at], y_val, config, config.seed)


def fit_through_backbone(volumes: list[np.ndarray], jobs: list, config: TrainConfig) -> None:
    """Fit each head with the frozen backbone below it, on images."""
    backbone, _ = load_backbone(config, volumes[0].shape[-1])
    images = np.stack([model_input(hu, config.input) for hu in volumes])
    for training, validation in jobs:
        *train_at, y_train = places(training)
        *val_at, y_val = places(validation)
        weights = class_weights(y_train)
        model = whole_network(backbone, images[*train_at][:64], config)
        model.fit(
            images[*train_at],
            y_train,
            sample_weight=weights[y_train],
            validation_data=(images[*val_at], y_val, weights[y_val]),
            epochs=config.epochs,
            batch_size=config.batch_size,
            verbose=0,
        )


def whole_network(backbone: keras.Model, images: np.ndarray, config: TrainConfig) -> keras.Model:
    """Put a fresh head on the frozen backbone, compiled as `fit_head` does."""
    head = build_head(config.head, backbone.predict_on_batch(images), config.seed)
    model = keras.Model(backbone.input, head(backbone.output))
    model.compile(
        optimizer=keras.optimizers.Adam(config.learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    return model


if __name__ == "__main__":
    main()
