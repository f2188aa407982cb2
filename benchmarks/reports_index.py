"""How long the index of many reports takes, and one study's page with its voxels.

    python benchmarks/reports_index.py WORKSPACE [COUNT]

WORKSPACE is one with readings, such as ``demo/workspace``. Their recommendations are copied COUNT times (2,000) under
other UIDs into a temporary folder; then the real server is asked as a browser asks it.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx
import psutil
import uvicorn

from flows.reports.app import make_app
from lidcflow.config import Config
from lidcflow.report.page import DATA

REPEATS = 10


def main() -> None:
    """Copy, serve, ask, print."""
    workspace, count = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 2000
    records = sorted((workspace / "reports").glob(f"*/*/{DATA}"))
    with tempfile.TemporaryDirectory() as folder:
        config = Config(workspace=Path(folder))
        shutil.copytree(workspace / "inbox-store", Path(folder) / "inbox-store")
        for record in records:
            shutil.copytree(record.parent, config.reports_path / record.parent.parent.name / record.parent.name)
        copy(records, config.reports_path, count - len(records))
        print(f"{count} reports, {records[0].stat().st_size / 1024:.0f} KiB of JSON each")
        ask(config, f"/studies/{records[0].parent.parent.name}/{records[0].parent.name}/")


def copy(records: list[Path], reports: Path, count: int) -> None:
    """Write recommendations under UIDs of their own."""
    for number in range(count):
        record = records[number % len(records)]
        series = record.parent.name
        uid = f"{series[:50]}.{number}"
        place = reports / f"1.2.3.{number}" / uid
        place.mkdir(parents=True)
        (place / DATA).write_text(record.read_text().replace(f'"{series}"', f'"{uid}"'))


def ask(config: Config, study: str) -> None:
    """Ask a server in this process and print the times."""
    server = uvicorn.Server(uvicorn.Config(make_app(config), port=0, lifespan="off", log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    with httpx.Client(base_url=address, trust_env=False, timeout=300) as client:
        took_ms(client, "/", "index, first time", 1)
        for path, what in (("/", "index"), ("/?verdict=ranges&page=9", "index, filtered, page 9")):
            took_ms(client, path, what)
        took_ms(client, study, "page of a study")
        took_ms(client, f"{study}voxels", "its voxels, gzip")
    print(f"memory {psutil.Process().memory_info().rss / 2**20:.0f} MiB")
    server.should_exit = True
    thread.join()


def took_ms(client: httpx.Client, path: str, what: str, repeats: int = REPEATS) -> None:
    """Print the fastest of some answers, in ms, with the CPU time of server and client, and its size on the wire."""
    times = []
    for _ in range(repeats):
        start, cpu = time.perf_counter(), time.process_time()
        answer = client.get(path).raise_for_status()
        times.append((time.perf_counter() - start, time.process_time() - cpu))
    took, cpu = (1000 * min(one) for one in zip(*times, strict=True))
    print(f"{what}: {took:.0f} ms, {cpu:.0f} ms of CPU, {answer.num_bytes_downloaded / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
