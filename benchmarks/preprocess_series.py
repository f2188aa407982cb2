"""Time and memory to preprocess one series, against reading its bytes, stack and zoom, SimpleITK and MONAI.

Every variant runs in fresh processes of its own, on one core, page cache warm; the variants take turns. SimpleITK
and MONAI are left out where they are not installed. Memory is measured for each of the given numbers of slices.

    python benchmarks/preprocess_series.py [--slices 240] [--rounds 5] [--memory-at 100 240 760]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from figures import record_ratio

ONE_CORE = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
RUNS = 3
"""Runs in one process: the first also pays for fresh memory, the others are what a worker sees."""


def raw(folder: Path) -> Callable[[], Any]:
    """Read the bytes of all files."""
    paths = sorted(folder.iterdir())

    def run() -> int:
        return sum(len(path.read_bytes()) for path in paths)

    return run


def zoom(folder: Path) -> Callable[[], Any]:
    """Stack the decoded slices in float64 and zoom to the grid with order 1: one channel, samples without averaging."""
    import numpy as np
    from scipy import ndimage

    def run() -> Any:
        stack, _ = _stack(folder)
        return ndimage.zoom(stack, np.divide((65, 128, 128), stack.shape), order=1)

    return run


def zoom_via_1mm(folder: Path) -> Callable[[], Any]:
    """Stack in float64, zoom to a grid of 1 mm and then to the output grid with order 1: one channel."""
    import numpy as np
    from scipy import ndimage

    def run() -> Any:
        stack, spacing_mm = _stack(folder)
        even = ndimage.zoom(stack, spacing_mm, order=1)
        return ndimage.zoom(even, np.divide((65, 128, 128), even.shape), order=1)

    return run


def local_mean(folder: Path) -> Callable[[], Any]:
    """Stack in float64 and average over the cells of the grid with scikit-image: one channel, our mean."""
    from skimage.transform import resize_local_mean

    return lambda: resize_local_mean(_stack(folder)[0], (65, 128, 128), preserve_range=True)


def simpleitk(folder: Path) -> Callable[[], Any]:
    """Read the series with SimpleITK and resample it linearly: one channel, samples without averaging."""
    import SimpleITK as sitk  # noqa: N813

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)

    def run() -> Any:
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
        image = reader.Execute()
        spacing_mm = [mm * n / m for mm, n, m in zip(image.GetSpacing(), image.GetSize(), GRID, strict=True)]
        resampled = sitk.Resample(
            image, GRID, sitk.Transform(), sitk.sitkLinear, image.GetOrigin(), spacing_mm, image.GetDirection(), -1024.0
        )
        return sitk.GetArrayFromImage(resampled)

    return run


def monai(folder: Path) -> Callable[[], Any]:
    """Load the folder with MONAI and resize it: one channel, area averaging."""
    import torch
    from monai.transforms import Compose, EnsureChannelFirst, LoadImage, Resize

    torch.set_num_threads(1)
    load = LoadImage(reader="PydicomReader", image_only=True)
    return lambda: Compose([load, EnsureChannelFirst(), Resize(GRID, mode="area")])(str(folder))


GRID = 128, 128, 65
"""Columns, rows and slices of the output."""


def _stack(folder: Path) -> tuple[Any, tuple[float, float, float]]:
    """Return HU as people write it, top of the chest first, and the spacing of slices, rows and columns in mm."""
    import numpy as np
    import pydicom

    slices = sorted(map(pydicom.dcmread, folder.iterdir()), key=lambda dataset: -dataset.ImagePositionPatient[2])
    stack = np.stack([dataset.pixel_array for dataset in slices]).astype(np.float64)
    stack = stack * float(slices[0].RescaleSlope) + float(slices[0].RescaleIntercept)
    z_mm = [float(dataset.ImagePositionPatient[2]) for dataset in slices]
    row_mm, column_mm = map(float, slices[0].PixelSpacing)
    return stack, (z_mm[0] - z_mm[1], row_mm, column_mm)


def header_pass(folder: Path) -> Callable[[], Any]:
    """Index the folder."""
    from lidcflow.privacy import PUBLIC_KEY
    from lidcflow.series.find import index_folder

    return lambda: index_folder(folder, secret=PUBLIC_KEY)


def voxel_pass(folder: Path) -> Callable[[], Any]:
    """Reduce the indexed series: both channels."""
    from lidcflow.config import PreprocessConfig
    from lidcflow.volume.reduce import reduce_series

    series = header_pass(folder)().usable[0]
    return lambda: reduce_series(series, PreprocessConfig())


def both_passes(folder: Path) -> Callable[[], Any]:
    """Index the folder and reduce the series: both channels."""
    from lidcflow.config import PreprocessConfig
    from lidcflow.volume.reduce import reduce_series

    index = header_pass(folder)
    return lambda: reduce_series(index().usable[0], PreprocessConfig())


VARIANTS: dict[str, tuple[str, Callable[[Path], Callable[[], Any]]]] = {
    "raw": ("(a) read the bytes", raw),
    "zoom": ("(b) stack, float64, zoom order 1", zoom),
    "via_1mm": ("(c) stack, float64, zoom via 1 mm", zoom_via_1mm),
    "local_mean": ("(d) stack, float64, local mean", local_mean),
    "simpleitk": ("(e) SimpleITK, linear", simpleitk),
    "monai": ("(f) MONAI, area", monai),
    "headers": ("header pass", header_pass),
    "voxels": ("voxel pass, indexed before", voxel_pass),
    "both": ("header pass + voxel pass", both_passes),
}

OPTIONAL = {"simpleitk": "SimpleITK", "monai": "monai"}
"""Variants that take a package which lidcflow does not need."""

CLOCKS = {"wall": time.perf_counter, "CPU": time.process_time}


def measure(variant: str, folder: Path) -> dict[str, float]:
    """Run a variant in this process."""
    run = VARIANTS[variant][1](folder)
    before_bytes = _status_bytes("VmRSS")
    seconds: dict[str, list[float]] = {clock: [] for clock in CLOCKS}
    for _ in range(RUNS):
        start_s = {clock: read() for clock, read in CLOCKS.items()}
        run()
        for clock, read in CLOCKS.items():
            seconds[clock].append(read() - start_s[clock])
    found = {"added_mib": (_status_bytes("VmHWM") - before_bytes) / 2**20}
    for clock, runs_s in seconds.items():
        found |= {f"first {clock}": runs_s[0], f"later {clock}": statistics.median(runs_s[1:])}
    return found


def _status_bytes(name: str) -> int:
    """Read a figure of this process; getrusage would count the parent's memory before exec too."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise KeyError(name)


def make_series(folder: Path, slices: int) -> None:
    """Write a CT series of noise, 512 x 512, explicit little endian, with about 90 elements a header."""
    import numpy as np
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    noise = np.random.default_rng(0)
    spacing_mm = min(1.25, 300 / slices)
    study, series, frame = (generate_uid(entropy_srcs=["benchmark", name]) for name in ("study", "series", "frame"))
    for index in range(slices):
        dataset = Dataset()
        dataset.SOPClassUID, dataset.Modality = CTImageStorage, "CT"
        dataset.SOPInstanceUID = generate_uid(entropy_srcs=["benchmark", str(index)])
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = study, series, frame
        dataset.PatientID, dataset.Manufacturer = "benchmark", "benchmark"
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.InstanceNumber = index + 1
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.ImagePositionPatient = [-180, -180, -spacing_mm * index]
        dataset.PixelSpacing, dataset.SliceThickness = [0.7, 0.7], spacing_mm
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.Rows = dataset.Columns = 512
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
        dataset.RescaleSlope, dataset.RescaleIntercept, dataset.PixelPaddingValue = 1, -1024, -2000
        block = dataset.private_block(0x0009, "BENCHMARK", create=True)
        for element in range(60):
            block.add_new(element, "LO", f"private value {element}")
        dataset.PixelData = noise.integers(0, 2048, (512, 512), np.int16).tobytes()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.save_as(folder / f"{index:06d}.dcm", enforce_file_format=True)


def installed() -> list[str]:
    """List the variants that can run here."""
    return [variant for variant in VARIANTS if not (package := OPTIONAL.get(variant)) or _is_there(package)]


def _is_there(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def take_turns(folder: Path, rounds: int, variants: list[str]) -> dict[str, dict[str, float]]:
    """Measure variants `rounds` times, one after the other, and take medians."""
    found: dict[str, list[dict[str, float]]] = {variant: [] for variant in variants}
    for _ in range(rounds):
        for variant in variants:
            command = [sys.executable, __file__, "--variant", variant, "--folder", str(folder)]
            output = subprocess.run(command, env=os.environ | ONE_CORE, check=True, capture_output=True).stdout
            found[variant].append(json.loads(output.splitlines()[-1]))
    return {
        variant: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        for variant, runs in found.items()
    }


def report(medians: dict[str, dict[str, float]], slices: int, rounds: int) -> None:
    """Print times, memory, and for each clock the ratio to (b) and to (a): CPU time is the one to trust when busy."""
    print(f"{slices} slices of 512 x 512, {rounds} rounds, medians; load {os.getloadavg()[0]:.1f}")
    head = "".join(f"{run + ' ms':>12}{'(b) / it':>10}{'x raw':>7}" for run in ("first", "later"))
    for clock in CLOCKS:
        print(f"\n{clock + ' time':34}{head}{'added MiB':>11}")
        for variant, figures in medians.items():
            row = f"{VARIANTS[variant][0]:34}"
            for run in ("first", "later"):
                seconds, raw_s, zoom_s = (medians[v][f"{run} {clock}"] for v in (variant, "raw", "zoom"))
                row += f"{1000 * seconds:12.1f}{zoom_s / seconds:10.1f}{seconds / raw_s:7.1f}"
            print(f"{row}{figures['added_mib']:11.1f}")
    for variant in set(medians) - {"raw", "headers", "voxels", "both"}:
        rival, ours = (medians[name]["later CPU"] for name in (variant, "both"))
        record_ratio(f"{VARIANTS[variant][0][4:]}: its CPU time by that of header and voxel pass", rival / ours)


def report_memory(sizes: list[int]) -> None:
    """Print the memory that header and voxel pass add, for series of several lengths."""
    print(f"\n{'slices':>8}{'added MiB':>11}{'ms':>9}{'ms a slice':>12}")
    for slices in sizes:
        with tempfile.TemporaryDirectory() as folder:
            make_series(Path(folder), slices)
            found = take_turns(Path(folder), 1, ["both"])["both"]
        ms = 1000 * found["later wall"]
        print(f"{slices:8}{found['added_mib']:11.1f}{ms:9.1f}{ms / slices:12.2f}")


def main() -> None:
    """Make the series, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=int, default=240)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory-at", type=int, nargs="*", default=[100, 240, 760])
    parser.add_argument("--variant", choices=VARIANTS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.variant:
        print(json.dumps(measure(options.variant, options.folder)))
        return
    with tempfile.TemporaryDirectory() as folder:
        make_series(Path(folder), options.slices)
        report(take_turns(Path(folder), options.rounds, installed()), options.slices, options.rounds)
    report_memory(options.memory_at)


if __name__ == "__main__":
    main()
