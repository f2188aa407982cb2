"""The model path on another backend of Keras."""

import importlib.util
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from lidcflow.config import TrainConfig
from lidcflow.learn.engines import load_engine
from lidcflow.learn.features import series_features
from lidcflow.learn.predict import outputs_of

PROGRAM = """
import sys
import numpy as np
import pandas as pd
from lidcflow.config import TrainConfig
from lidcflow.stats.calibration import fit_calibration
from lidcflow.learn.engines import load_engine
from lidcflow.learn.features import series_features
from lidcflow.learn.finetune import finetune
from lidcflow.learn.fitting import fit_head
from lidcflow.learn.heads import calibrated_model
from lidcflow.learn.maps import StoredMaps
from lidcflow.learn.predict import outputs_of, release_probabilities
from lidcflow.learn.runtime import keras

folder = sys.argv[1]
hu, labels = np.load(f"{folder}/hu.npy"), np.array([0, 1, 2, 0, 1, 2])
engine = load_engine(TrainConfig(), 32)
features = series_features(engine.network, hu, engine.backbone)
head = fit_head(features, labels, features, labels, TrainConfig(epochs=2), seed=0)
model = calibrated_model(head.model, fit_calibration(outputs_of(head.model, features), labels))
model.save(f"{folder}/head.keras")
loaded = keras.models.load_model(f"{folder}/head.keras", safe_mode=True)
probabilities = release_probabilities([(range(6), loaded)], features[None])

tuning = TrainConfig(mode="finetune", epochs=1, finetune={"epochs": 1})
engine = load_engine(tuning, 32)
maps = series_features(engine.network, hu, engine.backbone)
rows = pd.DataFrame({"series_instance_uid": "1.2", "slice": range(1, 7), "label": labels})
slices = StoredMaps(rows, lambda uid, wanted: maps[wanted.start : wanted.stop])
tuned = finetune(slices, {"val": slices}, tuning, size=32, seed=0)
tuned.model.save(f"{folder}/tuned.keras")
loaded = keras.models.load_model(f"{folder}/tuned.keras", safe_mode=True)
found = {"maps": maps, "tuned": outputs_of(loaded, maps), "own": outputs_of(model, features)}
np.savez(f"{folder}/found.npz", features=features, probabilities=probabilities, **found)
print(keras.backend.backend(), len(head.history["loss"]), len(tuned.history["loss"]))
"""


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")
def test_jax_computes_trains_saves_and_predicts_as_tensorflow_does(tmp_path):
    hu = np.random.default_rng(0).integers(-1024, 400, (2, 6, 32, 32)).astype(np.int16)
    np.save(tmp_path / "hu.npy", hu)
    engine = load_engine(TrainConfig(), 32)

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.split() == ["jax", "2", "2"], done.stderr
    found = np.load(tmp_path / "found.npz")
    expected = series_features(engine.network, hu, engine.backbone)
    np.testing.assert_allclose(found["features"], expected, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(found["probabilities"][0], found["own"], rtol=1e-5)
    bottom = load_engine(TrainConfig(mode="finetune"), 32)
    maps = series_features(bottom.network, hu, bottom.backbone)
    np.testing.assert_allclose(found["maps"].astype(float), maps.astype(float), rtol=2e-3, atol=2e-3)
    tuned = keras.models.load_model(tmp_path / "tuned.keras", safe_mode=True)
    np.testing.assert_allclose(found["tuned"], outputs_of(tuned, found["maps"]), rtol=1e-3, atol=1e-4)
