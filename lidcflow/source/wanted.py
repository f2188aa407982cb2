"""What is to be fetched of a bucket or of the public archive, and the safe name that each file gets."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NamedTuple

from lidcflow.config import Access
from lidcflow.ct.attribution import Collection
from lidcflow.ct.values import is_uid
from lidcflow.errors import SourceError
from lidcflow.objects import split_url
from lidcflow.source import idc
from lidcflow.source.bucket import list_bucket
from lidcflow.source.files import SourceFile
from lidcflow.source.places import check_source, is_bucket

PART = ".part"
_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9 ._+=@-]{0,199}")


class Wanted(NamedTuple):
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
class Plan:
    """What is to be kept of a source.

    Parameters
    ----------
    wanted : tuple of Wanted
        Its objects.
    unsafe : int
        Objects whose name can't be that of a file.
    incomplete : dict
        A sentence for each SeriesInstanceUID that is not whole in the public archive.
    collections : tuple of Collection
        What they belong to.
    """

    wanted: tuple[Wanted, ...]
    unsafe: int
    incomplete: dict[str, str]
    collections: tuple[Collection, ...] = ()


def plan_download(source: str, access: Access, on_series: Callable[[int, int], None] | None = None) -> Plan:
    """Find the objects of a source and a safe place for each.

    Parameters
    ----------
    source : str
        ``s3://bucket/prefix`` or ``idc:name``.
    access : Access
        How buckets are reached.
    on_series : callable, optional
        Called with series listed and series in all.

    Raises
    ------
    SourceError
        If the source is of another kind, or holds nothing.
    ResourceError
        If storage does not answer.
    """
    if not is_bucket(source) and not idc.is_archive_name(source):
        raise SourceError(f"source {source}: must be s3://bucket/prefix or idc:name to be fetched, got something else")
    check_source(source)
    plan = _plan_archive(source, access, on_series) if idc.is_archive_name(source) else _plan_bucket(source, access)
    if not plan.wanted and not plan.incomplete and not plan.unsafe:
        raise SourceError(f"source {source}: must hold objects, got none; check its name")
    return plan


def _plan_bucket(source: str, access: Access) -> Plan:
    files = list_bucket(source, access).files
    targets = [_safe_path(split_url(file.path)[2].split("/")) for file in files]
    return Plan(_paired(files, targets), targets.count(None), {})


def _plan_archive(source: str, access: Access, on_series: Callable[[int, int], None] | None) -> Plan:
    found = idc.find_series(source)
    wanted: list[Wanted] = []
    unsafe = 0
    incomplete: dict[str, str] = {}
    for done, (series, files) in enumerate(idc.objects_of(found, access), start=1):
        targets = [_target(series, file) for file in files]
        wanted += _paired(files, targets)
        unsafe += targets.count(None)
        if len(files) != series.n_files:
            incomplete[series.series_instance_uid] = idc.miscounted(series, len(files))
        if on_series:
            on_series(done, len(found))
    return Plan(tuple(wanted), unsafe, incomplete, idc.collections_of(found))


def _paired(files: Sequence[SourceFile], targets: Sequence[PurePosixPath | None]) -> tuple[Wanted, ...]:
    return tuple(Wanted(file, target) for file, target in zip(files, targets, strict=True) if target)


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
