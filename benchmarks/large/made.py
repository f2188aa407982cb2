"""A made-up store of many series: real sizes of descriptions, tiny arrays, labels in one CSV file.

One group is written by the store's own code, and the others differ from it in UIDs, patient and digests alone: what
is measured is the number of series, not the making of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from lidcflow.config import Access, Config, LabelConfig, NodulesConfig, PreprocessConfig
from lidcflow.dicom.records import Acquisition, PixelFormat, Series, SourceSlice, VerdictReason
from lidcflow.learn.backbones import describe_backbone
from lidcflow.objects import bucket_of
from lidcflow.series.verdicts import Verdict
from lidcflow.store.arrays import encode_features, encode_image
from lidcflow.store.buckets import COMMITTED
from lidcflow.store.place import SERIES, Objects
from lidcflow.store.record import attributes_of
from lidcflow.store.volumes import VolumeStore
from lidcflow.volume.slabs import SlabSource, Volume

SOURCE_SLICES = 200
"""Of each series: the National Lung Screening Trial's have 150 to 250."""

SIZE = 16
SERIES_OF_PATIENT = 2
LABELS = "readings.csv"
UID = "1.3.6.1.4.1.14519.5.2.1.7009.9004."
_BASE = 10**20
_PATIENT, _FINGERPRINT, _DIGEST = "f" * 16, "e" * 64, "d" * 64
"""Of the group that the others are made from."""

_STATE = "a" * 64


def config_of(workspace: Path, store: str = "store", access: Access | None = None) -> Config:
    """Return the configuration of the made-up workspace."""
    return Config(
        workspace=workspace,
        store=store,
        patient_key="public",
        preprocess=PreprocessConfig(size=SIZE),
        nodules=NodulesConfig(candidates=False),
        labels=LabelConfig(source=str(workspace / LABELS)),
        access=access or Access(),
    )


def uid_of(number: int) -> str:
    """Name a series, nearly as long as real ones are."""
    return f"{UID}{_BASE + number}"


def hashed(kind: str, number: int) -> str:
    """Return 64 hexadecimal digits."""
    return hashlib.sha256(f"{kind} {number}".encode()).hexdigest()


def patient_of(number: int) -> str:
    """Return the key of a series' patient."""
    return hashed("patient", number // SERIES_OF_PATIENT)[:16]


def made_series(number: int, slices: tuple[SourceSlice, ...] | None = None) -> Series:
    """Make the source of a stored series; the index would find it."""
    uid = uid_of(number)
    return Series(
        series_instance_uid=uid,
        study_instance_uid=f"{uid}.0",
        frame_of_reference_uid=f"{uid}.1",
        patient_key=patient_of(number),
        slices=slices or source_slices(uid),
        rows=512,
        columns=512,
        row_spacing_mm=0.7,
        column_spacing_mm=0.7,
        slice_spacing_mm=1.8,
        acquisition=Acquisition("Maker", "Model", "B30f", 120.0, 2.0, contrast=False),
        synthetic=True,
        fingerprint=hashed("fingerprint", number),
        state=_STATE,
    )


def source_slices(uid: str) -> tuple[SourceSlice, ...]:
    """Make the source slices of a series."""
    pixels = PixelFormat(512, 512, 16, signed=True)
    return tuple(
        SourceSlice(f"{i}.dcm", f"{uid}.9{i}", i + 1, -1.8 * i, 1.0, -1024.0, 1000, 525_288, pixels)
        for i in range(SOURCE_SLICES)
    )


def verdicts(count: int) -> Iterator[Verdict]:
    """Yield what an index says of the series; all share one tuple of slices, whose making is not what is measured."""
    slices = source_slices(uid_of(0))
    for number in range(count):
        series = made_series(number, slices)
        sentence = f"series {series.series_instance_uid}: {SOURCE_SLICES} slices"
        yield Verdict(series.series_instance_uid, VerdictReason.USABLE, sentence, SOURCE_SLICES, series=series)


def make(config: Config, count: int, *, arrays_of: int | None = None) -> None:
    """Write the store and the labels.

    Parameters
    ----------
    config : Config
        From `config_of`.
    count : int
        Series.
    arrays_of : int, optional
        Of how many series arrays are written; by default of all.
    """
    VolumeStore.of(config, create=True)
    template = group_of(config)
    described = {name: content for name, content in template.items() if name == "zarr.json"}
    write = _folder_writer(config) if config.store_folder else _bucket_writer(config)

    def put(number: int) -> None:
        write(number, template if arrays_of is None or number < arrays_of else described)

    with ThreadPoolExecutor(1 if config.store_folder else config.access.s3.connections) as pool:
        for start in range(0, count, 1000):
            list(pool.map(put, range(start, min(start + 1000, count))))
    write_labels(config.workspace / LABELS, count)


def group_of(config: Config) -> dict[str, bytes]:
    """Encode the group that the others are made from, with its features."""
    made = made_series(0)
    slabs = np.array_split(np.arange(SOURCE_SLICES), config.preprocess.slices)
    sources = tuple(
        tuple(SlabSource(made.slices[i].sop_instance_uid, int(i) + 1, -1.8 * float(i), 1 / len(slab)) for i in slab)
        for slab in slabs
    )
    shape = (2, config.preprocess.slices, SIZE, SIZE)
    edges_mm = np.linspace(0.9, -1.8 * SOURCE_SLICES + 0.9, config.preprocess.slices + 1)
    volume = Volume(np.zeros(shape, np.int16), edges_mm, sources, ())
    attributes = attributes_of(made, volume, config.preprocess)
    attributes["lidcflow"] |= {"volume_digest": _DIGEST, "fingerprint": _FINGERPRINT, "patient_key": _PATIENT}
    backbone = describe_backbone(config.train, SIZE)
    features = np.random.default_rng(0).normal(size=(config.preprocess.slices, backbone.feature_dim))
    objects = encode_features(features.astype(np.float16), _DIGEST)
    group = encode_image(volume.hu, (5.0, 2.8, 2.8), attributes)
    return group | {f"features/{backbone.id}/{name}": content for name, content in objects.items()}


def _own(content: bytes, number: int) -> bytes:
    """Put the names of another series into the first group of a description."""
    uid = uid_of(number).encode()
    for there, here in (
        (uid_of(0).encode(), uid),
        (_PATIENT.encode(), patient_of(number).encode()),
        (_FINGERPRINT.encode(), hashed("fingerprint", number).encode()),
        (_DIGEST.encode(), hashed("digest", number).encode()),
    ):
        content = content.replace(there, here)
    return content


def _named(objects: Objects, number: int) -> Iterator[tuple[str, bytes]]:
    for name, content in objects.items():
        yield name, _own(content, number) if name.endswith("zarr.json") else content


def _folder_writer(config: Config):  # type: ignore[no-untyped-def]
    root = Path(config.store_root) / SERIES

    def write(number: int, objects: Objects) -> None:
        for name, content in _named(objects, number):
            file = root / uid_of(number) / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)

    return write


def _bucket_writer(config: Config):  # type: ignore[no-untyped-def]
    bucket = bucket_of(config.store_root, config.access)
    prefix = config.store_root.partition("://")[2].partition("/")[2]

    def write(number: int, objects: Objects) -> None:
        for name, content in _named(objects, number):
            bucket.put(f"{prefix}/{SERIES}/{uid_of(number)}/{name}", content)
        bucket.put(f"{prefix}/{COMMITTED}/{uid_of(number)}", b"")

    return write


def write_labels(file: Path, count: int) -> None:
    """Write readings of every series: a nodule in each second one, malignant in each fourth."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as stream:
        stream.write("series_instance_uid,z_top_mm,z_bottom_mm,reader,nodule,malignancy\n")
        for number in range(count):
            z_mm = -10.0 - number % 300
            rating = 5 if number % 4 == 0 else 2
            nodule = f"{z_mm},{z_mm - 12},A,1,{rating}" if number % 2 == 0 else ",,A,,"
            stream.write(f"{uid_of(number)},{nodule}\n")
