"""One tiny stored series, and how its labels are read from a source."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lidcflow.config import LabelConfig, PreprocessConfig
from lidcflow.labels.collect import Collected, collect_nodules
from lidcflow.labels.slices import label_string
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.series.find import index_folder
from lidcflow.store.volumes import VolumeRecord, VolumeStore
from lidcflow.volume.reduce import reduce_series
from tasks.labels import label_readable

SLICES = PreprocessConfig(slices=10, size=16)
"""Ten slabs of ten source slices: a digit of the labels for each image."""


@pytest.fixture(scope="session")
def ct_folder(ct_series, tmp_path_factory) -> Path:
    """Return a folder with the images of series 1.2.3: z = 50 to 27.5 mm, 2.5 mm apart, 32 rows and columns."""
    return ct_series(tmp_path_factory.mktemp("readings") / "ct", series_uid="1.2.3", patient_id="Lovelace")


@pytest.fixture(scope="session")
def record(ct_folder) -> VolumeRecord:
    """Return the record of series 1.2.3."""
    store = VolumeStore(ct_folder.parent / "store", SLICES)
    for series in index_folder(ct_folder, secret=PUBLIC_KEY).usable:
        store.write(series, reduce_series(series, SLICES))
    return store.record("1.2.3")


@pytest.fixture(scope="session")
def images(record) -> list[str]:
    """Return the SOPInstanceUIDs, top of the chest first."""
    return [source.sop_instance_uid for source in record.source_slices]


@pytest.fixture
def collected(record, tmp_path) -> Callable[..., Collected]:
    """Return a function that reads sources for the stored series; by default all that the test has written."""
    return lambda *sources: collect_nodules([record], [str(source) for source in sources or [tmp_path]])


@pytest.fixture
def labels(record, tmp_path) -> Callable[..., str | None]:
    """Return a function that labels the stored series from sources; None when it is left out."""

    def read(*sources: Path, **config) -> str | None:
        paths = tuple(str(source) for source in sources or [tmp_path])
        found = label_readable([record], LabelConfig(source=paths, **config)).labels
        return label_string(found["1.2.3"]) if found else None

    return read
