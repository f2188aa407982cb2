"""Time to read one sector over all series, from the store and from what else a store could be.

Synthetic volumes of 2 x 65 x 128 x 128 int16: smooth densities with noise, so that they compress about as real ones do.
The layouts take turns, page cache warm; the figures are medians over the rounds, in ms a series. The bucket lies on an
S3-like server in another process on this machine (moto, which takes 1 to 2 ms a request by itself).

    python benchmarks/read_sectors.py [--series 100] [--bucket-series 20] [--rounds 5]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from figures import record_ratio
from numcodecs import Blosc
from numpy.typing import NDArray
from s3fs import S3FileSystem
from zarr.storage import FsspecStore, ObjectStore, StorePath

from lidcflow.config import Access, PreprocessConfig
from lidcflow.objects import bucket_of
from lidcflow.store.arrays import COMPRESSOR, INNER_SLICES, encode_image
from lidcflow.store.locate import store_place
from lidcflow.store.volumes import VolumeStore

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.object_storage import object_storage

CONFIG = PreprocessConfig()
SECTORS = {"5 of 65": slice(30, 35), "13 of 65": slice(26, 39), "65 of 65": slice(0, 65)}
FIRST = next(iter(SECTORS))
CHUNKS = -(-CONFIG.slices // INNER_SLICES)
INDEX_BYTES = 16 * CHUNKS + 4
"""Offset and length of each inner chunk, and their checksum."""

Read = Callable[[str, slice], Any]


def volume(number: int) -> NDArray[np.int16]:
    """Make a volume: lungs in a body, noise that averaging has left."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[-1 : 1 : CONFIG.size * 1j, -1 : 1 : CONFIG.size * 1j]
    body = np.where((x / 0.9) ** 2 + (y / 0.7) ** 2 < 1, 40, -1000)
    body[((np.abs(x) - 0.42) / 0.3) ** 2 + (y / 0.45) ** 2 < 1] = -850
    shape = (CONFIG.slices, CONFIG.size, CONFIG.size)
    mean = body + rng.normal(0, 8, shape)
    return np.stack([mean, mean + np.abs(rng.normal(60, 25, shape))]).astype(np.int16)


def fill_store(root: str, uids: list[str], access: Access) -> VolumeStore:
    """Commit a volume for each UID."""
    store = VolumeStore(root, CONFIG, access=access)
    place = store_place(root, access)
    for number, uid in enumerate(uids):
        place.commit_volume(uid, encode_image(volume(number), (5.0, 2.8, 2.8), {}))
    return store


def local_layouts(folder: Path, uids: list[str]) -> dict[str, Read]:
    """Write the volumes in every layout, and give a reader of each."""
    store = fill_store(str(folder / "store"), uids, Access())
    for number, uid in enumerate(uids):
        hu = volume(number)
        write_chunked(folder / "slabs" / uid, hu, INNER_SLICES)
        write_chunked(folder / "whole" / uid, hu, CONFIG.slices)
        (folder / "npy").mkdir(exist_ok=True)
        np.save(folder / "npy" / f"{uid}.npy", hu)
    series = folder / "store" / "series"
    return {
        "store: one shard, chunks of 5": store.read_hu,
        "  the same through zarr-python": lambda uid, slices: zarr.open_array(series / uid / "0", mode="r")[:, slices],
        "  its bytes and decoder alone": lambda uid, slices: decoded(series / uid / "0" / "c/0/0/0/0", slices),
        "unsharded, a file for 5 slices": lambda uid, slices: zarr.open_array(folder / "slabs" / uid)[:, slices],
        "unsharded, one chunk": lambda uid, slices: zarr.open_array(folder / "whole" / uid)[:, slices],
        ".npy, memory-mapped": lambda uid, slices: np.array(
            np.load(folder / "npy" / f"{uid}.npy", mmap_mode="r")[:, slices]
        ),
    }


def write_chunked(place: Path, hu: NDArray[np.int16], slices: int) -> None:
    """Write a volume as a plain Zarr array of chunks of so many slices."""
    chunks = (2, slices, CONFIG.size, CONFIG.size)
    zarr.create_array(place, shape=hu.shape, dtype=hu.dtype, chunks=chunks, compressors=COMPRESSOR)[:] = hu


def decoded(shard: Path, slices: slice) -> NDArray[np.int16]:
    """Read the chunks of a sector without zarr: the least that reading it takes."""
    first, last = slices.start // INNER_SLICES, -(-slices.stop // INNER_SLICES)
    with shard.open("rb") as file:
        file.seek(-INDEX_BYTES, os.SEEK_END)
        index = np.frombuffer(file.read(INDEX_BYTES - 4), "<u8").reshape(CHUNKS, 2)
        parts = []
        for offset, length in index[first:last].tolist():
            file.seek(offset)
            parts.append(np.frombuffer(Blosc().decode(file.read(length)), "<i2"))
    shape = (2, INNER_SLICES, CONFIG.size, CONFIG.size)
    joined = np.concatenate([part.reshape(shape) for part in parts], axis=1)
    return joined[:, slices.start - first * INNER_SLICES :][:, : slices.stop - slices.start]


def bucket_layouts(endpoint: str, uids: list[str]) -> dict[str, Read]:
    """Fill a store in a bucket, and give readers by way of different clients."""
    access = Access.model_validate({"s3": {"endpoint": endpoint, "region": "us-east-1", "anonymous": True}})
    store = fill_store("s3://bucket/store", uids, access)
    s3fs = S3FileSystem(anon=True, asynchronous=True, client_kwargs={"endpoint_url": endpoint})
    ways = {
        "  the same through zarr over obstore": ObjectStore(bucket_of("s3://bucket", access), read_only=True),
        "  the same through zarr over s3fs": FsspecStore(s3fs, path="bucket", read_only=True),
    }

    def over(way: Any) -> Read:
        return lambda uid, slices: zarr.open_array(StorePath(way, f"store/series/{uid}/0"), mode="r")[:, slices]

    return {"store, in a bucket": store.read_hu, **{name: over(way) for name, way in ways.items()}}


@contextmanager
def served() -> Iterator[str]:
    """Run the S3-like server in a process of its own, and give its address."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    try:
        yield ours.recv()
    finally:
        ours.send("stop")
        server.join()


def serve(pipe: Any) -> None:
    """Serve until told to stop."""
    with object_storage() as storage:
        pipe.send(storage.endpoint)
        pipe.recv()


def measure(layouts: dict[str, Read], uids: list[str], rounds: int) -> dict[tuple[str, str], float]:
    """Read every sector of all series in every layout, in turns; return the median ms a series of each."""
    times: dict[tuple[str, str], list[float]] = {(name, sector): [] for name in layouts for sector in SECTORS}
    for number in range(rounds + 1):
        for (name, sector), taken in times.items():
            started_s = time.perf_counter()
            for uid in uids:
                layouts[name](uid, SECTORS[sector])
            if number:  # the first round warms caches and clients
                taken.append(1000 * (time.perf_counter() - started_s) / len(uids))
    return {key: statistics.median(taken) for key, taken in times.items()}


def check(layouts: dict[str, Read], uid: str) -> None:
    """Make sure that every layout gives the same voxels."""
    for sector in SECTORS.values():
        first, *others = (np.asarray(read(uid, sector)) for read in layouts.values())
        for other in others:
            np.testing.assert_array_equal(first, other)


def report(layouts: dict[str, Read], uids: list[str], rounds: int) -> None:
    """Measure, and print a table with ratios to the first layout."""
    check(layouts, uids[0])
    medians = measure(layouts, uids, rounds)
    ours = next(iter(layouts))
    print(f"\n{f'{len(uids)} series, ms a series':36}" + "".join(f"{sector:>12}{'ratio':>7}" for sector in SECTORS))
    for name in layouts:
        cells = [f"{medians[name, s]:12.2f}{medians[name, s] / medians[ours, s]:7.2f}" for s in SECTORS]
        print(f"{name:36}{''.join(cells)}")
        if "zar" in name or name == "unsharded, one chunk":
            record_ratio(
                f"5 of 65 slices, {name.strip()}: its time by the store's", medians[name, FIRST] / medians[ours, FIRST]
            )


def main() -> None:
    """Write, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--series", type=int, default=100)
    parser.add_argument("--bucket-series", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        uids = [f"1.{number}" for number in range(options.series)]
        layouts = local_layouts(Path(folder), uids)
        size_bytes = sum(file.stat().st_size for file in Path(folder, "store", "series", uids[0], "0").rglob("*"))
        print(f"{options.rounds} rounds, load {os.getloadavg()[0]:.1f}; a volume takes {size_bytes / 2**20:.2f} MiB")
        report(layouts, uids, options.rounds)
    with served() as endpoint:
        uids = [f"1.{number}" for number in range(options.bucket_series)]
        report(bucket_layouts(endpoint, uids), uids, options.rounds)


if __name__ == "__main__":
    main()
