"""The last blocks of the backbone, trained with the head."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from lidcflow.config import SplitConfig, TrainConfig
from lidcflow.config.science import FinetuneConfig
from lidcflow.errors import TrainingError
from lidcflow.learn.features import FeatureSource, series_features
from lidcflow.learn.networks import load_backbone
from lidcflow.learn.snapshot import Snapshot, build_snapshot
from lidcflow.learn.train import train_sector

SLICES, SIZE, PATIENTS = 6, 16, 16
LABELS = np.array([0, 0, 1, 0, 2, 0], dtype=np.int8)


def settings(**changed):
    return TrainConfig(
        mode="finetune",
        epochs=2,
        batch_size=8,
        finetune=FinetuneConfig(**{"epochs": 3, "learning_rate": 3e-3, **changed}),
    )


@pytest.fixture(scope="module")
def snapshot():
    records = [
        SimpleNamespace(series_instance_uid=f"1.2.{i}", patient_key=f"{i:04d}", volume_digest="d")
        for i in range(PATIENTS)
    ]
    labels = {record.series_instance_uid: LABELS for record in records}
    return build_snapshot(records, labels, SplitConfig(validation=0.3, test=0.2))


@pytest.fixture(scope="module")
def source():
    """Maps of noise with a square whose texture tells the class; each series of another noise."""
    bottom, backbone = load_backbone(settings(), SIZE)
    kept = {}

    def read(uid, slices=None):
        if uid not in kept:
            rng = np.random.default_rng(int(uid.split(".")[-1]))
            hu = rng.integers(-900, -500, (2, SLICES, SIZE, SIZE)).astype(np.int16)
            hu[:, LABELS == 1, 4:10, 4:10] += rng.integers(0, 2, (6, 6), dtype=np.int16) * 400
            hu[:, LABELS == 2, 4:10, 4:10] += np.int16(200)
            kept[uid] = series_features(bottom.predict_on_batch, hu, backbone)
        return kept[uid][slices.start : slices.stop] if slices else kept[uid]

    return FeatureSource(read, size=SIZE)


def train(snapshot, source, config, **options):
    return train_sector(snapshot, range(SLICES), source, config, 0, **options)


@pytest.fixture(scope="module")
def trained(snapshot, source):
    return train(snapshot, source, settings(), watch_test=True)


def test_the_epochs_of_the_head_come_first_and_the_best_one_of_all_is_kept(trained):
    losses = trained.history["val_loss"]

    assert len(losses) == len(trained.history["test_loss"]) == 5
    assert trained.best_epoch == int(np.argmin(losses)) >= 2
    assert trained.remark == f"epoch {trained.best_epoch - 1} of 3 of finetuning"


def test_the_model_is_a_small_file_of_plain_layers_from_maps_to_probabilities(trained, source, tmp_path):
    maps = source.read("1.2.0").astype(np.float32)

    trained.model.save(tmp_path / "sector.keras")

    loaded = keras.models.load_model(tmp_path / "sector.keras", safe_mode=True)
    p = loaded.predict_on_batch(maps)
    np.testing.assert_allclose(p, trained.model.predict_on_batch(maps), rtol=1e-6)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)
    assert loaded.input_shape == (None, 4, 4, 64)


def test_test_slices_that_are_watched_change_nothing_and_the_seed_decides(snapshot, source, trained):
    again = train(snapshot, source, settings())

    maps = source.read("1.2.0").astype(np.float32)
    np.testing.assert_allclose(again.model.predict_on_batch(maps), trained.model.predict_on_batch(maps), rtol=1e-4)


def test_a_rate_that_makes_it_worse_ends_early_where_it_started(snapshot, source):
    worse = train(snapshot, source, settings(epochs=9, patience=2, learning_rate=0.3))

    losses = worse.history["val_loss"]
    assert len(losses) == 2 + 2
    assert worse.best_epoch == int(np.argmin(losses)) < 2
    assert worse.remark == "as before finetuning: none of 2 epochs made the validation loss lower"
    assert worse.validation["auroc_nodule"].value > 0.5


def test_a_loss_that_is_no_number_is_told_with_the_rate(snapshot, source):
    with pytest.raises(TrainingError, match=r"finetuning: loss must be a number, got nan .*learning_rate \(1e\+30\)"):
        train(snapshot, source, settings(learning_rate=1e30))


def test_a_sector_without_a_nodule_to_validate_on_keeps_the_pretrained_blocks(snapshot, source):
    table = snapshot.table.copy()
    table.loc[table["split"] == "validation", "label"] = 0

    kept = train(Snapshot(table, ""), source, settings())

    assert kept.remark.startswith("not finetuned: no validation slice of the sector holds a nodule")
    assert len(kept.history["loss"]) == 2


def test_a_class_that_is_absent_from_training_is_told(snapshot, source):
    table = snapshot.table[snapshot.table["label"] != 2]

    with pytest.raises(TrainingError, match=r"training set: must hold non-nodule, benign and malignant slices"):
        train(Snapshot(table, ""), source, settings())


def test_mixed_precision_trains_a_model_of_float32(snapshot, source):
    mixed = train(snapshot, source, settings(precision="bf16", epochs=1))

    assert {str(variable.dtype) for variable in mixed.model.variables} == {"float32"}
    assert mixed.model.predict_on_batch(source.read("1.2.0")).dtype == np.float32
    assert len(mixed.history["loss"]) == 3
