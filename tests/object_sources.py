"""Objects of tiny series: in a bucket of one's own, and as the public archive lays them out."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pydicom
import pytest

from lidcflow.objects import bucket_of
from lidcflow.source import idc
from tests.object_storage import ObjectStorage

Upload = Callable[..., str]
Archive = Callable[..., str]


@pytest.fixture
def upload(objects: ObjectStorage) -> Upload:
    """Return a function that puts the files of a folder into the bucket and returns their URL: ``upload(folder)``."""
    return lambda folder, prefix="archive": put(objects, folder, prefix)


def put(objects: ObjectStorage, folder: Path, prefix: str) -> str:
    bucket = bucket_of("s3://bucket", objects.access)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            bucket.put(f"{prefix}/{path.relative_to(folder).as_posix()}", path.read_bytes())
    return f"s3://bucket/{prefix}"


@pytest.fixture
def archive(objects: ObjectStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    """Yield a function that publishes a series as the Imaging Data Commons does.

    ``archive(folder, **row)`` puts it under ``<crdc_series_uuid>/<instance_uuid>.dcm``, adds it to the index that
    `lidcflow.source.idc` reads, with the columns in `row` changed, and returns the prefix.
    """
    rows: list[dict[str, Any]] = []
    file = tmp_path / "idc_index.parquet"
    monkeypatch.setattr(idc, "index_file", lambda: file)
    idc.idc_series.cache_clear()

    def publish(folder: Path, **row: Any) -> str:
        rows.append(published(objects, folder) | row)
        pq.write_table(pa.Table.from_pylist(rows), file)
        idc.idc_series.cache_clear()
        return rows[-1]["crdc_series_uuid"]

    yield publish
    idc.idc_series.cache_clear()


def published(objects: ObjectStorage, folder: Path) -> dict[str, Any]:
    series = str(uuid.uuid5(uuid.NAMESPACE_OID, folder.name))
    paths = sorted(folder.iterdir())
    bucket = bucket_of("s3://bucket", objects.access)
    for path in paths:
        bucket.put(f"{series}/{uuid.uuid5(uuid.NAMESPACE_OID, path.name)}.dcm", path.read_bytes())
    header = pydicom.dcmread(paths[0], stop_before_pixels=True)
    return {
        "collection_id": "tiny_ct",
        "PatientID": header.PatientID,
        "StudyInstanceUID": header.StudyInstanceUID,
        "SeriesInstanceUID": header.SeriesInstanceUID,
        "Modality": header.Modality,
        "instanceCount": len(paths),
        "series_size_MB": round(sum(path.stat().st_size for path in paths) / 1e6, 6),
        "license_short_name": "CC BY 3.0",
        "source_DOI": "10.7937/tiny",
        "aws_bucket": "bucket",
        "crdc_series_uuid": series,
    }
