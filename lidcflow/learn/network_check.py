"""Check what a `.keras` file holds before anything is made of it; Keras is not imported here."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
MEMBERS = frozenset({"metadata.json", CONFIG, WEIGHTS})
"""Members of a file that Keras writes for a network without assets."""

MOST_BYTES = 2**30
"""Largest size of a file, and of its arrays by its own header: a ResNet-50 with its head is a tenth of it."""

MOST_CONFIG_BYTES = 2**24

CLASSES = frozenset(
    {
        "__keras_tensor__",
        "Activation",
        "Add",
        "Average",
        "BatchNormalization",
        "Concatenate",
        "Constant",
        "Conv2D",
        "DTypePolicy",
        "Dense",
        "Dropout",
        "Functional",
        "GlobalAveragePooling2D",
        "GlobalMaxPooling2D",
        "GlorotUniform",
        "HeNormal",
        "InputLayer",
        "L2",
        "MaxPooling2D",
        "Normalization",
        "Ones",
        "ReLU",
        "Rescaling",
        "Softmax",
        "ZeroPadding2D",
        "Zeros",
    }
)
"""Layers of heads and finetuned backbones."""

BACKBONE_CLASSES = CLASSES | {
    "AveragePooling2D",
    "DepthwiseConv2D",
    "ELU",
    "Flatten",
    "LayerNormalization",
    "LeakyReLU",
    "Multiply",
    "Permute",
    "PReLU",
    "Reshape",
    "SeparableConv2D",
    "Sequential",
    "SpatialDropout2D",
}
"""Layers of a backbone of one's own: plain ones too, which read and run nothing."""

SIZES = ("units", "filters")


def check_arrays(file: Path | io.BytesIO) -> int:
    """Check that an HDF5 file holds its arrays itself; return how many bytes they are.

    Raises
    ------
    ValueError
        If a link leads on, an array lies in another file, or all of them together are more than `MOST_BYTES`.
    OSError
        If the file is none of HDF5.
    """
    with h5py.File(file, "r") as weights:
        total = sum(_bytes_of(dataset) for dataset in _datasets(weights))
    if total > MOST_BYTES:
        raise ValueError(f"arrays of {total} bytes")
    return total


def check_network(file: Path, classes: frozenset[str] = CLASSES) -> dict[str, Any]:
    """Check that a `.keras` file holds nothing but a network of plain layers; return the network's description.

    Parameters
    ----------
    file : Path
        The file.
    classes : frozenset of str
        Layers, and what they are made with, that its network may name.

    Raises
    ------
    ValueError
        If it is something else, or more.
    OSError, zipfile.BadZipFile
        If it can't be read.
    """
    if file.stat().st_size > MOST_BYTES:
        raise ValueError(f"a file of {file.stat().st_size} bytes")
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if sorted(member.filename for member in members) != sorted(MEMBERS):
            raise ValueError(f"members {', '.join(sorted(member.filename for member in members))[:200]!r}")
        if any(member.compress_type or member.file_size != member.compress_size for member in members):
            raise ValueError("compressed members, which Keras does not write")
        if archive.getinfo(CONFIG).file_size > MOST_CONFIG_BYTES:
            raise ValueError("a description of more than 16 MiB")
        array_bytes = check_arrays(io.BytesIO(archive.read(WEIGHTS)))
        config: dict[str, Any] = json.loads(archive.read(CONFIG))
    config.pop("compile_config", None)  # it is not used
    for key, value in _entries(config):
        _check_entry(key, value, array_bytes, classes)
    return config


def _check_entry(key: str, value: Any, array_bytes: int, classes: frozenset[str]) -> None:
    if key in ("class_name", "registered_name") and value is not None and value not in classes:
        raise ValueError(f"{key} {str(value)[:100]!r}")
    if key == "module" and value is not None and str(value).partition(".")[0] != "keras":
        raise ValueError(f"module {str(value)[:100]!r}")
    # Each unit and each filter has a number in an array: more of them are not there, but would take the memory.
    if key in SIZES and not (isinstance(value, int) and 0 < value <= array_bytes):
        raise ValueError(f"{key} {str(value)[:100]}, more than its arrays hold")


def _entries(config: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(config, dict):
        yield from config.items()
    inner = config.values() if isinstance(config, dict) else config if isinstance(config, list) else ()
    for value in inner:
        yield from _entries(value)


def _datasets(group: h5py.Group) -> Iterator[h5py.Dataset]:
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"a link at {name[:100]!r} in place of an array")
        entry = group[name]
        if isinstance(entry, h5py.Dataset):
            yield entry
        elif isinstance(entry, h5py.Group):
            yield from _datasets(entry)


def _bytes_of(dataset: h5py.Dataset) -> int:
    if dataset.external or dataset.is_virtual:
        raise ValueError(f"an array that lies in another file at {str(dataset.name)[:100]!r}")
    return int(dataset.nbytes)
