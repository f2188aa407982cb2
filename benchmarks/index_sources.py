"""Files a second of the header pass: a folder fresh and remembered, a bucket on loopback, and pydicom in a loop.

    python -m benchmarks.index_sources --files 5000

All are measured in one run, one process each, on the same small files; the bucket's server shares the machine.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pydicom

from benchmarks.figures import record_ratio
from lidcflow.config import Access
from lidcflow.headers.cache import HeaderCache
from lidcflow.headers.reader import HeaderReader
from lidcflow.objects import bucket_of
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.series.find import index_files
from lidcflow.source.places import parse_source
from tests.conftest import write_ct_series
from tests.object_storage import object_storage, slow

SLICES = 100
LATENCY_S = 0.05
"""What a bucket of another continent takes to answer at best."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--objects", type=int, default=500, help="how many of them go to the bucket")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, object_storage() as storage:
        folder, cache = Path(scratch) / "archive", Path(scratch) / "headers.db"
        write(folder, options.files)
        url = upload(folder, options.objects, storage.access)
        rates = {
            "pydicom.dcmread(stop_before_pixels=True)": rate(lambda: read_by_pydicom(folder)),
            "folder, fresh": rate(lambda: index(str(folder))),
            "folder, fresh, filling the cache": rate(lambda: index(str(folder), cache=cache)),
            "folder, all in the cache": rate(lambda: index(str(folder), cache=cache)),
            "bucket on loopback, fresh": rate(lambda: index(url, access=storage.access)),
            "bucket on loopback, one GET after the other": rate(lambda: read_objects(url, storage.access)),
        }
        with storage.faulty(slow(LATENCY_S)):
            rates["bucket 50 ms away, fresh"] = rate(lambda: index(url, access=storage.access))
            rates["bucket 50 ms away, one after the other"] = rate(lambda: read_objects(url, storage.access))
    slowest = rates["pydicom.dcmread(stop_before_pixels=True)"]
    for name, files_per_s in rates.items():
        print(f"{name:46} {files_per_s:9,.0f} files/s  {files_per_s / slowest:6.1f}x")
        if name.startswith("folder"):
            record_ratio(f"{name}: files a second by those of pydicom.dcmread alone", files_per_s / slowest)
    ahead, alone = rates["bucket 50 ms away, fresh"], rates["bucket 50 ms away, one after the other"]
    record_ratio("bucket 50 ms away: files a second by those of one request after the other", ahead / alone)


def write(folder: Path, files: int) -> None:
    for number in range(files // SLICES):
        write_ct_series(folder / f"{number:04d}", n=SLICES, size=16)


def upload(folder: Path, files: int, access: Access) -> str:
    bucket = bucket_of("s3://bucket", access)
    for path in sorted(folder.rglob("*.dcm"))[:files]:
        bucket.put(path.relative_to(folder).as_posix(), path.read_bytes())
    return "s3://bucket"


def rate(work: Callable[[], int]) -> float:
    """Files a second of one run."""
    started_s = time.perf_counter()
    files = work()
    return files / (time.perf_counter() - started_s)


def read_by_pydicom(folder: Path) -> int:
    paths = sorted(folder.rglob("*.dcm"))
    for path in paths:
        pydicom.dcmread(path, stop_before_pixels=True)
    return len(paths)


def read_objects(url: str, access: Access) -> int:
    """What a loop without read-ahead gets of the same server, parsing left out."""
    bucket = bucket_of(url, access)
    paths = [item["path"] for item in bucket.list().collect()]
    for path in paths:
        bucket.get_range(path, start=0, length=16_384)
    return len(paths)


def index(source: str, *, access: Access | None = None, cache: Path | None = None) -> int:
    listing = parse_source(source, access or Access()).listing()
    if cache is None:
        index_files(listing, HeaderReader(PUBLIC_KEY, access=access))
        return len(listing.files)
    with HeaderCache(cache, PUBLIC_KEY) as known:
        index_files(listing, HeaderReader(PUBLIC_KEY, access=access, cache=known))
    return len(listing.files)


if __name__ == "__main__":
    main()
