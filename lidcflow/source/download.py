"""Choose and fetch the files of a bucket or of the public archive into a folder."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from obstore.exceptions import BaseError

from lidcflow.config import Access
from lidcflow.dicom.records import Collection
from lidcflow.dicom.values import is_uid
from lidcflow.errors import ResourceError, SourceError
from lidcflow.file_lock import trying_folder
from lidcflow.files import write_whole
from lidcflow.objects import bucket_of, settings_of, split_url
from lidcflow.source import idc
from lidcflow.source.bucket import check_answers, list_bucket
from lidcflow.source.files import SourceFile
from lidcflow.source.places import ArchiveSource, BucketSource, ImageSource

PART = ".part"
_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9 ._+=@-]{0,199}")


SPARE_BYTES = 256 * 2**20

TRIES = 3
"""A body that breaks off is asked for again; the client repeats requests alone, not what came half."""

ATTRIBUTION_FILE = "ATTRIBUTION.txt"

ATTRIBUTION_HEAD = "Data of the Imaging Data Commons; cite the DOI and keep to the licence of each collection."


class Download(NamedTuple):
    """An object and where it is to be kept.

    Parameters
    ----------
    file : SourceFile
        The object.
    target : PurePosixPath
        Relative to the folder of the download, made of safe names.
    """

    file: SourceFile
    target: PurePosixPath


@dataclass(frozen=True)
class DownloadPlan:
    """A plan of which files of a source to download.

    Parameters
    ----------
    wanted : tuple of Download
        Its objects.
    unsafe : int
        Objects whose name can't be that of a file.
    incomplete : dict
        A sentence for each SeriesInstanceUID that is not whole in the public archive.
    collections : tuple of Collection
        What they belong to.
    """

    wanted: tuple[Download, ...]
    unsafe: int
    incomplete: dict[str, str]
    collections: tuple[Collection, ...] = ()


def plan_download(source: ImageSource, on_series: Callable[[int, int], None] | None = None) -> DownloadPlan:
    """Find the objects of a source and a safe place for each.

    Parameters
    ----------
    source : ImageSource
        ``s3://bucket/prefix`` or ``idc:name``.
    on_series : callable, optional
        Called with series listed and series in all.

    Raises
    ------
    SourceError
        If the source is of another kind, or holds nothing.
    ResourceError
        If storage does not answer.
    """
    if not isinstance(source, BucketSource | ArchiveSource):
        raise SourceError(f"source {source}: must be s3://bucket/prefix or idc:name to be fetched, got something else")
    source.check()
    plan = _plan_archive(source, on_series) if isinstance(source, ArchiveSource) else _plan_bucket(source)
    if not plan.wanted and not plan.incomplete and not plan.unsafe:
        raise SourceError(f"source {source}: must hold objects, got none; check its name")
    return plan


def _plan_bucket(source: BucketSource) -> DownloadPlan:
    files = list_bucket(source.text, source.access).files
    targets = [_safe_path(split_url(file.path)[2].split("/")) for file in files]
    return DownloadPlan(_paired(files, targets), targets.count(None), {})


def _plan_archive(source: ArchiveSource, on_series: Callable[[int, int], None] | None) -> DownloadPlan:
    found = idc.idc_series(source.text)
    wanted: list[Download] = []
    unsafe = 0
    incomplete: dict[str, str] = {}
    for done, (series, files) in enumerate(idc.objects_of(found, source.access), start=1):
        targets = [_target(series, file) for file in files]
        wanted += _paired(files, targets)
        unsafe += targets.count(None)
        if len(files) != series.n_files:
            incomplete[series.series_instance_uid] = idc.miscounted(series, len(files))
        if on_series:
            on_series(done, len(found))
    return DownloadPlan(tuple(wanted), unsafe, incomplete, idc.collections_of(found))


def _paired(files: Sequence[SourceFile], targets: Sequence[PurePosixPath | None]) -> tuple[Download, ...]:
    return tuple(Download(file, target) for file, target in zip(files, targets, strict=True) if target)


def _target(series: idc.ArchiveSeries, file: SourceFile) -> PurePosixPath | None:
    if not (is_uid(series.study_instance_uid) and is_uid(series.series_instance_uid)):
        return None
    name = file.path.rpartition("/")[2]
    parts = [series.collection, series.patient_id, series.study_instance_uid, series.series_instance_uid, name]
    return _safe_path(parts)


def _safe_path(parts: Sequence[str]) -> PurePosixPath | None:
    """Join names that can be those of files on any system; None when one can't."""
    if all(_SAFE.fullmatch(part) and not part.endswith((".", " ", PART)) for part in parts):
        return PurePosixPath(*parts)
    return None


@dataclass(frozen=True)
class Downloaded:
    """Results for the objects of a plan.

    Parameters
    ----------
    fetched, kept, failed : int
        Fetched now; there already; not given, or cut short.
    fetched_bytes : int
        Size of what was fetched.
    """

    fetched: int
    kept: int
    failed: int
    fetched_bytes: int


def download(
    plan: DownloadPlan, folder: Path, access: Access, on_file: Callable[[], None] = lambda: None
) -> Downloaded:
    """Fetch what a folder does not hold yet; a file is there whole or not at all.

    Parameters
    ----------
    plan : DownloadPlan
        From `plan_download`.
    folder : Path
        Made if it is not there.
    access : Access
        How buckets are reached.
    on_file : callable
        Called after every file.

    Raises
    ------
    ResourceError
        If the disk lacks room, another download writes to the folder, or storage does not answer.
    """
    with _telling_of_the_disk(folder), _claimed(folder):
        missing = [wanted for wanted in plan.wanted if not _is_there(folder / wanted.target, wanted.file)]
        _check_room(folder, sum(wanted.file.size_bytes for wanted in missing))
        _write_attribution(folder, plan.collections)
        for _ in range(len(plan.wanted) - len(missing)):
            on_file()
        done = []
        for was_fetched in _fetch_all(missing, folder, access):
            done.append(was_fetched)
            on_file()
    fetched = [wanted for wanted, was_fetched in zip(missing, done, strict=True) if was_fetched]
    kept = len(plan.wanted) - len(missing)
    size_bytes = sum(wanted.file.size_bytes for wanted in fetched)
    return Downloaded(len(fetched), kept, len(missing) - len(fetched), size_bytes)


def _is_there(target: Path, file: SourceFile) -> bool:
    try:
        return target.stat().st_size == file.size_bytes
    except OSError:
        return False


def _check_room(folder: Path, needed_bytes: int) -> None:
    free_bytes = shutil.disk_usage(folder).free
    if needed_bytes and free_bytes < needed_bytes + SPARE_BYTES:
        raise ResourceError(
            f"folder {folder}: {needed_bytes / 1e9:,.2f} GB must fit on the disk, got {free_bytes / 1e9:,.2f} GB free; "
            "free some, or choose another folder"
        )


@contextmanager
def _telling_of_the_disk(folder: Path) -> Iterator[None]:
    """Raise an error of one sentence if the folder does not take files."""
    try:
        yield
    except OSError as error:
        raise ResourceError(
            f"folder {folder}: must take the files, got '{error.strerror}'; free some room, or choose another folder"
        ) from None


@contextmanager
def _claimed(folder: Path) -> Iterator[None]:
    """Hold the folder for this process: two downloads would write to one partial file."""
    folder.mkdir(parents=True, exist_ok=True)
    with trying_folder(folder) as held:
        if not held:
            raise ResourceError(f"folder {folder}: one download must write to it at a time, got two; wait for it")
        yield


def _write_attribution(folder: Path, collections: Sequence[Collection]) -> None:
    """Name the terms of every collection that was ever fetched to the folder."""
    if not collections:
        return
    file = folder / ATTRIBUTION_FILE
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else [ATTRIBUTION_HEAD]
    lines += [f"{made.attribution.collection}: {made.attribution.terms}" for made in collections]
    write_whole(file, "".join(f"{line}\n" for line in dict.fromkeys(lines)))


def _fetch_all(missing: Sequence[Download], folder: Path, access: Access) -> Iterator[bool]:
    """Fetch objects, several at a time, and yield whether each arrived complete."""
    if not missing:
        return
    with ThreadPoolExecutor(settings_of(missing[0].file.path, access).connections) as pool:
        try:
            yield from pool.map(lambda wanted: _fetch(wanted.file, folder / wanted.target, access), missing)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _fetch(file: SourceFile, target: Path, access: Access) -> bool:
    """Fetch one object beside its place, and put it there when it is whole.

    The partial file has a fixed name, unlike the drafts of `lidcflow.files`: one that a killed download left is written
    over by the next, where others would pile up.
    """
    part = target.with_name(f"{target.name}{PART}")
    target.parent.mkdir(parents=True, exist_ok=True)
    whole = any(_came_whole(file, part, access) for _ in range(TRIES))
    if whole:
        part.replace(target)
    else:
        part.unlink(missing_ok=True)
    return whole


def _came_whole(file: SourceFile, part: Path, access: Access) -> bool:
    with part.open("wb") as stream:
        try:
            for chunk in bucket_of(file.path, access).get(split_url(file.path)[2]):
                stream.write(chunk)
                if stream.tell() > file.size_bytes:  # it has changed since it was listed, or never ends
                    return False
        except (BaseError, FileNotFoundError, PermissionError):  # of the object: the file is open already
            check_answers(file.path, access)
    return part.stat().st_size == file.size_bytes
