"""What trainings keep of erased series: rows of snapshots here and in MLflow, pictures; and the mark on releases."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from lidcflow.config import Config
from lidcflow.erasure.snapshots import Share, redact, share_of, snapshot_files
from tasks.tracking import erasure, registry
from tasks.tracking.connection import Tracking


@dataclass(frozen=True)
class Training:
    """A snapshot that holds rows of erased series, and what was made from it.

    Attributes
    ----------
    share : Share
        What it holds of them.
    file : Path, optional
        Its file in the workspace.
    copies, pictures : list of Kept
        Its copies in MLflow; and what is deleted there: the profile of its series, and pictures of slices of
        validation patients where those are among the erased.
    releases : list of int
        Versions that were trained on it.
    """

    share: Share
    file: Path | None
    copies: list[erasure.Kept]
    pictures: list[erasure.Kept]
    releases: list[int]

    @property
    def artifacts(self) -> int:
        """Files in MLflow that are to be changed or deleted."""
        return len(self.copies) + len(self.pictures)


def find_trainings(uids: Collection[str], config: Config) -> list[Training]:
    """List the snapshots that hold rows of series, and what was made from each."""
    return list(_trainings(uids, config))


def erase_training(training: Training, uids: Collection[str], config: Config, *, name: str, on: str) -> list[str]:
    """Mark the releases of a snapshot, then delete pictures, then take the rows out of every copy.

    In this order: as long as a copy holds the rows, a second try finds what was made from them.

    Returns
    -------
    list of str
        Addresses of pictures that MLflow's storage did not delete.
    """
    tracking = Tracking.of(config)
    for version in training.releases:
        erasure.mark_release(tracking, version, name, training.share.sentence(on))
    left = [one.uri for one in training.pictures if not erasure.delete(tracking, one)]
    for copy in training.copies:
        with tempfile.TemporaryDirectory() as scratch:
            file = erasure.fetch(tracking, copy, Path(scratch))
            redact(file, uids, on)
            erasure.replace(tracking, copy, file)
    if training.file:
        redact(training.file, uids, on)
    return left


def _trainings(uids: Collection[str], config: Config) -> Iterator[Training]:
    tracking = Tracking.of(config)
    runs = erasure.runs_by_snapshot(tracking)
    files = {file.stem: file for file in snapshot_files(config.workspace)}
    releases = {one.version: one.record for one in registry.list_releases(tracking) if one.record}
    for digest in sorted({*runs, *files}):
        copies = erasure.kept_snapshots(tracking, runs.get(digest, []))
        share = _share(files.get(digest), copies, uids, tracking)
        if share.series:
            in_validation = "validation" in share.splits
            yield Training(
                share=share,
                file=files.get(digest),
                copies=copies,
                pictures=[
                    *(erasure.kept_pictures(tracking, runs.get(digest, [])) if in_validation else []),
                    *erasure.kept_profiles(tracking, runs.get(digest, [])),
                ],
                releases=[version for version, record in releases.items() if record.snapshot_name == digest],
            )


def _share(file: Path | None, copies: list[erasure.Kept], uids: Collection[str], tracking: Tracking) -> Share:
    """Look for the rows in the file, else in the copies one by one: a first try may have come to some of them."""
    share = share_of(file, uids) if file else Share(0, 0, frozenset())
    for copy in copies:
        if share.series:
            break
        with tempfile.TemporaryDirectory() as scratch:
            share = share_of(erasure.fetch(tracking, copy, Path(scratch)), uids)
    return share
