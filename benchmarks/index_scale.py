"""What the index of a large archive costs: made-up headers, indexed, judged and planned; time and memory of each step.

Nothing is read: the files are names, and their headers are made where a reader would read them. All else is the
product's: the list of files, series by series, verdicts, catalog, `lidcflow index --json --csv`, and what `preprocess`
does before it hands series to workers. The last step times `lidcflow status` on the catalog of all these series. Each
step runs in a process of its own.

    python benchmarks/index_scale.py [--series 2000] [--slices 117] [--scattered] [--steps find,index,preprocess,status]

All chest CT of the public archive is --series 215000.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import pickle
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parents[1]))

from lidcflow.config import Config
from lidcflow.dicom.facts import Facts
from lidcflow.dicom.records import Acquisition, PixelFormat
from lidcflow.dicom.syntaxes import PLAIN
from lidcflow.headers.header import Header
from lidcflow.headers.reader import HeaderReader
from lidcflow.source.files import Listing, SourceFile
from lidcflow.source.places import ImageSource

UID = "1.3.6.1.4.1.14519.5.2.1.7009.9004."
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
ROOT = "/archive"
FILE_BYTES, OFFSET = 525_288, 1000
PIXELS = PixelFormat(512, 512, 16, signed=True)
BATCH = 256
HANDED_OUT = 1000
"""Series that are pickled as on their way to workers."""


def uid_of(series: int) -> str:
    """Name a series, as long as real ones are."""
    return f"{UID}{10**20 + series * 7919}"


def digest(*what: object) -> str:
    """Return 32 hexadecimal digits that no compression shortens."""
    return hashlib.md5(repr(what).encode()).hexdigest()


def path_of(series: int, image: int, scattered: bool, count: int) -> str:
    """Name a file: in a folder of its series, or in one with those of as many series."""
    name = f"{digest(series, image)}-{series}-{image}.dcm"
    return f"{ROOT}/{(series + image * 31) % count if scattered else series:07d}/{name}"


def facts_of(series: int) -> Facts:
    """Make what the headers of a series share."""
    uid = uid_of(series)
    return Facts(
        series_instance_uid=uid,
        study_instance_uid=f"{uid}.1",
        sop_class_uid=CT_IMAGE,
        transfer_syntax_uid=PLAIN,
        modality="CT",
        frame_of_reference_uid=f"{uid}.2",
        patient_key=digest("patient", series // 2)[:16],
        lossy=False,
        localizer=False,
        acquisition_number=1,
        temporal_position=None,
        patient_position="HFS",
        part=None,
        orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        spacing_mm=(0.7, 0.7),
        slope=1.0,
        intercept=-1024.0,
        bits_allocated=16,
        high_bit=15,
        samples=1,
        frames=1,
        pixels=PIXELS,
        acquisition=Acquisition("Maker", "Model", "B30f", 120.0, 2.5, contrast=False),
    )


def header_of(file: SourceFile, known: dict[int, Facts]) -> Header:
    """Make the header that a file would have."""
    _, _, tail = file.path.rpartition("/")
    token, series, image = tail.removesuffix(".dcm").split("-")
    number, at = int(series), int(image)
    if number not in known:
        known[number] = facts_of(number)
    facts = known[number]
    return Header(
        path=file.path,
        sop_instance_uid=f"{UID}{int(token[:16], 16)}",
        instance_number=at + 1,
        position_mm=(-180.0, -180.0, -2.5 * at),
        pixel_offset=OFFSET,
        pixel_bytes=2 * 512 * 512,
        file_bytes=FILE_BYTES,
        facts=facts,
        acquisition_time_s=43_200.0,
        version=file.version,
        mark=token,
    )


class MadeReader(HeaderReader):
    """A reader that makes headers, batch by batch as the real one reads them."""

    def read(self, files: Sequence[SourceFile]) -> Iterator[tuple[Any, list[Any]]]:
        """Yield batches of files with their headers."""
        for start in range(0, len(files), BATCH):
            batch, known = files[start : start + BATCH], dict[int, Facts]()
            yield batch, [header_of(file, known) for file in batch]


class MadeSource(ImageSource):
    """An archive that is made up: ``series slices scattered``."""

    def check(self) -> None:
        """Do nothing."""

    def _listed(self, _: object, /) -> Listing:
        series, slices, scattered = map(int, self.text.split())
        return Listing(self.text, listed(series, slices, bool(scattered)))


def listed(series: int, slices: int, scattered: bool) -> Sequence[SourceFile]:
    """List the files, folder by folder; without a shelf, as versions before this one did, in a tuple."""
    folders = (files_of_folder(number, series, slices, scattered) for number in range(series))
    try:
        from lidcflow.source.shelf import Shelf
    except ImportError:
        return tuple(file for folder in folders for file in folder)
    shelf = Shelf()
    for folder in folders:
        shelf.add(folder)
    return shelf.files()


def files_of_folder(folder: int, count: int, slices: int, scattered: bool) -> list[SourceFile]:
    """Return the files of one folder by path."""
    images = [((folder - image * 31) % count if scattered else folder, image) for image in range(slices)]
    paths = sorted(path_of(series, image, scattered, count) for series, image in images)
    return [SourceFile(path, FILE_BYTES, digest(path)) for path in paths]


def list_files(_config: Config, source: MadeSource) -> str:
    """List the files."""
    return f"{len(source.listing().files):,} files"


def find(config: Config, source: MadeSource) -> str:
    """List and judge, as every command does first."""
    from tasks.source import find_series

    found = find_series(source, config)
    return f"{len(found):,} series, {len(found.usable):,} usable"


def index(config: Config, source: MadeSource) -> str:
    """Run `lidcflow index --json --csv`."""
    from flows.cli import index as command

    answer, table = config.workspace / "index.json", config.workspace / "index.csv"
    with answer.open("w") as out, redirect_stdout(out), patch.object(command, "checked_source", lambda *_: source):
        command.index(source.text, workspace=config.workspace, as_json=True, csv_file=table)
    return f"{answer.stat().st_size / 2**20:.0f} MiB of JSON, {table.stat().st_size / 2**20:.0f} of CSV"


def preprocess(config: Config, source: MadeSource) -> str:
    """Do what `lidcflow preprocess` does before it hands series to workers, and pickle the first of them."""
    from flows.missing_series import divided
    from flows.mixed import without_mixed_series
    from lidcflow.catalog.series import Catalog
    from lidcflow.store.address import training_store
    from tasks.source import find_series

    found = without_mixed_series(find_series(source, config), config)
    with Catalog(config.catalog) as catalog:
        catalog.record_verdicts(found)
        waiting = divided(found.usable, training_store(config)).waiting
    sizes = [len(pickle.dumps(series)) for series in waiting[:HANDED_OUT]]
    return f"{len(waiting):,} series wait; {sum(sizes) / max(1, len(sizes)) / 1024:.1f} KiB for a worker each"


def status(config: Config, source: MadeSource) -> str:
    """Record the verdicts in the catalog, and run `lidcflow status` in a process of its own."""
    from lidcflow.catalog.series import Catalog
    from tasks.source import find_series

    with Catalog(config.catalog) as catalog:
        catalog.record_verdicts(find_series(source, config))
    command = [str(Path(sys.executable).with_name("lidcflow")), "status", "--json", "--workspace"]
    before, started_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    printed = subprocess.run([*command, str(config.workspace)], stdout=subprocess.PIPE, text=True, check=True).stdout
    after, wall_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - started_s
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return f"{cpu_s:.2f} s of CPU, {wall_s:.2f} s for status: {json.loads(printed)['catalog']}"


STEPS = {"list": list_files, "find": find, "index": index, "preprocess": preprocess, "status": status}


def run_here(name: str, source: str) -> dict[str, Any]:
    """Run a step."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="lidcflow-index-scale-") as folder:
        config = Config(workspace=Path(folder), patient_key="public")
        with patch("tasks.source.HeaderReader", MadeReader):
            started_s, cpu_s = time.monotonic(), time.process_time()
            said = STEPS[name](config, MadeSource(source))
    return {
        "wall_s": time.monotonic() - started_s,
        "cpu_s": time.process_time() - cpu_s,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "said": said,
    }


def main() -> None:
    """Run each step in a process of its own, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--series", type=int, default=2000)
    parser.add_argument("--slices", type=int, default=117)
    parser.add_argument("--scattered", action="store_true", help="each folder holds a file of many series")
    parser.add_argument("--steps", default=",".join(STEPS))
    parser.add_argument("--here", choices=STEPS, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    source = f"{chosen.series} {chosen.slices} {int(chosen.scattered)}"
    if chosen.here:
        print(json.dumps(run_here(chosen.here, source)))
        return
    files = chosen.series * chosen.slices
    print(f"{chosen.series:,} series, {files:,} slices, load {os.getloadavg()[0]:.1f}")
    print(f"{'step':12}{'CPU':>10}{'a slice':>12}{'wall':>10}{'peak':>12}   said")
    for name in chosen.steps.split(","):
        options = ["--series", str(chosen.series), "--slices", str(chosen.slices)]
        command = [sys.executable, __file__, "--here", name, *options, *(["--scattered"] if chosen.scattered else [])]
        row = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[-1])
        each = f"{1e6 * row['cpu_s'] / files:.1f} µs"
        times = f"{row['cpu_s']:8.1f} s{each:>12}{row['wall_s']:8.1f} s"
        print(f"{name:12}{times}{row['peak_mib']:8,.0f} MiB   {row['said']}", flush=True)


if __name__ == "__main__":
    main()
