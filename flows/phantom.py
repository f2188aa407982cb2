"""Write phantoms, one series to a worker."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from lidcflow.config import ClusterConfig
from lidcflow.labels.lidc import LidcScan
from lidcflow.phantom.scans import check_space, is_current, series_folder, write_phantom
from tasks.cluster.open import map_series, open_cluster
from tasks.progress import stage


def write_phantoms(scans: list[LidcScan], folder: Path, *, seed: int, workers: int | None = None) -> int:
    """Write series of LIDC-IDRI as phantoms; those that are there already are left alone.

    Parameters
    ----------
    scans : list of LidcScan
        From `choose_scans`.
    folder : Path
        Gets them in the layout that pylidc reads.
    seed : int
        Same seed, same bytes.
    workers : int, optional
        Processes that write; by default one for each core.

    Returns
    -------
    int
        Series that were made now.

    Raises
    ------
    ResourceError
        If the disk has too little space.
    SourceError
        If a series that is not a phantom lies where one belongs.
    """
    folder = folder.absolute()
    with stage("phantom", len(scans)) as making:
        waiting = [scan for scan in scans if not is_current(scan, folder, seed)]
        check_space(waiting, folder)
        making.advance(len(scans) - len(waiting))
        if waiting:
            _write(waiting, folder, seed, ClusterConfig(workers=workers), making.advance)
    return len(waiting)


def _write(
    scans: list[LidcScan], folder: Path, seed: int, cluster: ClusterConfig, on_series: Callable[[], None]
) -> None:
    work = partial(write_phantom, folder=folder, seed=seed)
    try:
        with open_cluster(cluster, "preprocess") as opened:
            for _, outcome in map_series(opened.address, work, scans, window=1):
                if isinstance(outcome, Exception):
                    raise outcome
                on_series()
    finally:
        _remove_drafts(scans, folder)


def _remove_drafts(scans: list[LidcScan], folder: Path) -> None:
    """Remove what a worker that was ended in the middle of a series left beside its place."""
    for scan in scans:
        target = series_folder(scan, folder)
        for draft in target.parent.glob(f".{target.name}.*"):
            shutil.rmtree(draft, ignore_errors=True)
