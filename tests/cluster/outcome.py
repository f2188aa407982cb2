"""What a whole run came to, in one file: ``python -m tests.cluster.outcome FILE``, configured as lidcflow is."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import mlflow.artifacts
import numpy as np
from numpy.typing import NDArray

from lidcflow.config import Config
from lidcflow.config.file import load_config
from lidcflow.release.record import ReleaseRecord
from lidcflow.store.address import inbox_store
from lidcflow.store.volumes import VolumeStore
from tasks.tracking.connection import Tracking, connect
from tasks.tracking.registry import load_release

VOLATILE = ("created", "time", "seconds")


def main(file: str) -> None:
    """Write arrays, and facts as JSON among them."""
    config = load_config()
    release = load_release(Tracking.of(config), "champion")
    facts = {"volumes": volumes(config), "release": pinned(release), "readings": readings(config.reports_path)}
    arrays = dict(features(config, release.backbone.id)) | dict(weights(config, release))
    np.savez(file, facts=np.array(json.dumps(facts, sort_keys=True)), **arrays)


def volumes(config: Config) -> dict[str, dict[str, str]]:
    """Return the digest of each volume, of the training's store and of the inbox's."""
    stores = {"store": VolumeStore.of(config), "inbox": inbox_store(config).open()}
    return {
        name: {uid: store.record(uid).volume_digest for uid in store.series_uids()} for name, store in stores.items()
    }


def pinned(release: ReleaseRecord) -> dict[str, Any]:
    """Return what a release says that does not tell when it was made."""
    facts = release.model_dump(mode="json")
    return {key: value for key, value in facts.items() if key not in VOLATILE}


def readings(folder: Path) -> dict[str, Any]:
    """Return what was said of each series, by its UID."""
    said = {}
    for file in sorted(folder.rglob("recommendations.json")):
        content = json.loads(file.read_text())
        said[file.parent.name] = {key: value for key, value in content.items() if key not in VOLATILE}
    return said


def features(config: Config, feature_id: str) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the features of each volume that was trained on."""
    store = VolumeStore.of(config)
    for uid in store.series_uids():
        if (found := store.read_features(uid, feature_id)) is not None:
            yield f"features {uid}", found


def weights(config: Config, release: ReleaseRecord) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield every array of every registered sector model, without Keras."""
    connect(Tracking.of(config))
    for uri in sorted({pin.uri for pin in release.sectors}):
        folder = Path(mlflow.artifacts.download_artifacts(uri))
        (model,) = folder.rglob("*.keras")
        with zipfile.ZipFile(model) as packed, h5py.File(io.BytesIO(packed.read("model.weights.h5"))) as held:
            found: dict[str, NDArray[Any]] = {}
            held.visititems(lambda name, node, found=found: _take(found, name, node))
        yield from ((f"weights {uri} {name}", array) for name, array in found.items())


def _take(found: dict[str, NDArray[Any]], name: str, node: Any) -> None:
    if isinstance(node, h5py.Dataset):
        found[name] = np.asarray(node)


if __name__ == "__main__":
    main(sys.argv[1])
