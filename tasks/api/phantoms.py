"""Generate synthetic CT to try things with."""

from __future__ import annotations

from pathlib import Path

from lidcflow.disk import naming_disk_faults
from lidcflow.phantom.scans import check_space, choose_scans, write_phantom
from tasks.api.settings import named_folder


def make_phantoms(folder: str | Path, series: int = 2, *, seed: int = 0, max_slices: int | None = None) -> Path:
    """Write synthetic chest CT as DICOM files.

    Geometry and annotations are those of scans of LIDC-IDRI, the images are generated and marked as synthetic. One
    series takes some seconds of CPU and some 60 MB. Results on them say nothing about patients.

    Parameters
    ----------
    folder : str or Path
        Made if it is missing; series that are there already are kept.
    series : int
        How many, each of another patient.
    seed : int
        The same seed gives the same files.
    max_slices : int, optional
        Largest number of images of a scan; by default any.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ValueError
        If there are fewer such scans, or a number is no whole one or too small.
    ConfigError
        If the folder is an empty text.
    ResourceError
        If the disk has too little space, or the folder can't be written.

    Examples
    --------
    >>> lf.make_phantoms("phantoms", series=1, max_slices=130)  # doctest: +SKIP
    PosixPath('phantoms')
    """
    target = named_folder(folder, "folder").absolute()
    scans = choose_scans(series, seed, max_slices=max_slices)
    check_space(scans, target)
    with naming_disk_faults(f"folder {target}"):
        for scan in scans:
            write_phantom(scan, target, seed)
    return Path(folder)
