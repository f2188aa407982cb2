"""A series from a PACS against the same series from a folder, and against one parsed request for each slice.

    python -m benchmarks.pacs --slices 240

Starts an Orthanc of its own on loopback (Debian packages orthanc and orthanc-dicomweb) and skips without one.
Every way is measured `--repeats` times in turn, warm; the fastest counts. CPU time is that of both processes, and
holds on a busy machine too; resolution of Orthanc's is 10 ms.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pydicom

from benchmarks.figures import record_ratio
from lidcflow.config import Access, PreprocessConfig
from lidcflow.dicom.records import Series
from lidcflow.headers.from_pacs import read_pacs_headers
from lidcflow.headers.reader import HeaderReader
from lidcflow.pacs.address import parse_address
from lidcflow.pacs.client import Pacs
from lidcflow.pacs.query import instance_uids
from lidcflow.pacs.retrieve import instances, read_parts
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.series.find import index_files
from lidcflow.source.files import PacsSeries
from lidcflow.source.places import parse_source
from lidcflow.volume.reduce import reduce_series
from tests.conftest import write_ct_series
from tests.orthanc import Orthanc, is_installed, orthanc

SIZE = 512
CONFIG = PreprocessConfig()
SLOW = "PACS, one request and parse a slice"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=240)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    if not is_installed():
        print("skipped: Orthanc with DICOMweb is not installed (Debian packages orthanc and orthanc-dicomweb)")
        return
    with tempfile.TemporaryDirectory() as scratch, orthanc() as server:
        folder = write(Path(scratch), options.slices)
        server.send(folder)
        for title, ways in (("headers and verdict", header_ways), ("pixels to volume", pixel_ways)):
            print(f"\n{title}")
            print_ways(title, ways(folder, server), psutil.Process(server.process.pid), options.repeats)


def write(folder: Path, slices: int) -> Path:
    """Write a series of full size whose pixels are those of one noisy slice."""
    hu = np.random.default_rng(0).integers(-1000, 400, (SIZE, SIZE))
    return write_ct_series(folder / "ct", n=slices, size=SIZE, hu=lambda _: hu, spacing_mm=1.25)


def header_ways(folder: Path, server: Orthanc) -> dict[str, Callable[[], Any]]:
    (series,) = usable("pacs:main", server.access)
    url = series.slices[0].path.partition("/instances/")[0]
    return {
        "folder": lambda: usable(str(folder), Access()),
        "PACS, metadata and one image": lambda: usable("pacs:main", server.access),
        "PACS, all images, heads kept": lambda: heads_of_images(url, server),
        "PACS, set of instances by QIDO-RS": lambda: uids_of(series, server),
        SLOW: lambda: one_by_one(series, lambda dataset: dataset.get("Rows")),
    }


def pixel_ways(folder: Path, server: Orthanc) -> dict[str, Callable[[], Any]]:
    (there,), (here,) = usable("pacs:main", server.access), usable(str(folder), Access())
    return {
        "folder": lambda: reduce_series(here, CONFIG),
        "PACS, one answer for the series": lambda: reduce_series(there, CONFIG, server.access),
        "PACS, the answer alone, not decoded": lambda: received(there, server),
        SLOW: lambda: one_by_one(there, lambda dataset: dataset.pixel_array),
    }


def print_ways(title: str, ways: dict[str, Callable[[], Any]], server: psutil.Process, repeats: int) -> None:
    wall_s: dict[str, float] = dict.fromkeys(ways, float("inf"))
    cpu_s = dict(wall_s)
    for _ in range(repeats):
        for name, work in ways.items():
            started, used = time.perf_counter(), cpu_of_both(server)
            work()
            wall_s[name] = min(wall_s[name], time.perf_counter() - started)
            cpu_s[name] = min(cpu_s[name], cpu_of_both(server) - used)
    for name in ways:
        times = f"{wall_s[name] / wall_s['folder']:6.1f} and {cpu_s[name] / cpu_s['folder']:5.1f} times the folder"
        if name == SLOW:
            best = min(time_s for way, time_s in wall_s.items() if way.startswith("PACS") and way != SLOW)
            record_ratio(f"{title}: time of one request a slice by that of the fastest other way", wall_s[name] / best)
        print(f"  {name:38} {wall_s[name]:7.3f} s, CPU {cpu_s[name]:6.3f} s: {times}")


def cpu_of_both(server: psutil.Process) -> float:
    own, its = time.process_time(), server.cpu_times()
    return own + its.user + its.system


def usable(source: str, access: Access) -> list[Series]:
    return index_files(parse_source(source, access).listing(), HeaderReader(PUBLIC_KEY, access=access)).usable


def heads_of_images(url: str, server: Orthanc) -> None:
    """Read headers as where metadata do not tell enough: the metadata of this address are refused."""
    from lidcflow.headers import from_pacs

    kept, from_pacs._tells_enough = from_pacs._tells_enough, lambda _: False
    try:
        list(read_pacs_headers([PacsSeries(url, None)], PUBLIC_KEY, server.access))
    finally:
        from_pacs._tells_enough = kept


def uids_of(series: Series, server: Orthanc) -> None:
    with server.connect() as pacs:
        instance_uids(pacs, series.study_instance_uid, series.series_instance_uid)


def received(series: Series, server: Orthanc) -> int:
    with Pacs(parse_address("pacs:main", server.access).service) as pacs:
        return sum(map(len, instances(pacs, series.slices[0].path.partition("/instances/")[0])))


def one_by_one(series: Series, use: Callable[[pydicom.Dataset], Any]) -> None:
    """What a client does that asks for one instance after the other and parses each."""
    with httpx.Client(trust_env=False) as client:
        for source in series.slices:
            answer = client.get(source.path, headers={"Accept": 'multipart/related; type="application/dicom"'})
            (content,) = read_parts([answer.content], answer.headers["Content-Type"])
            use(pydicom.dcmread(io.BytesIO(content)))


if __name__ == "__main__":
    main()
