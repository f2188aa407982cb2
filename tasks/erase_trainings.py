"""Remove erased series from trainings: rows of snapshots here and in MLflow, pictures; and mark releases."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lidcflow.erase.found import Found
from lidcflow.learn.redact import Share, redact, share_of, snapshot_files
from lidcflow.release.pins import EMBEDDED
from lidcflow.release.record import ReleaseRecord
from tasks.tracking import erasure, registry
from tasks.tracking.connection import Tracking


@dataclass(frozen=True)
class Training:
    """A snapshot that holds rows of erased series, and what was made from it.

    Attributes
    ----------
    digest : str
        First digits of the snapshot's.
    share : Share
        What it holds of them.
    file : Path, optional
        Its file in the workspace.
    copies, pictures : list of Kept
        Its copies in MLflow; and what is deleted there: the profile of its series, and pictures of slices of
        validation patients where those are among the erased.
    releases : list of int
        Versions that were trained on it.
    elsewhere : list of str
        Folders of its runs that lie in another workspace, as after a move that MLflow was not told of.
    models : list of str
        Registered models that learned from it, by name and version; each stays.
    """

    digest: str
    share: Share
    file: Path | None
    copies: list[erasure.Kept]
    pictures: list[erasure.Kept]
    releases: list[int]
    elsewhere: list[str]
    models: list[str]

    @property
    def artifacts(self) -> list[erasure.Kept]:
        """Files in MLflow that are to be changed or deleted."""
        return [*self.copies, *self.pictures]


def find_trainings(uids: Collection[str], workspace: Path, tracking: Tracking) -> list[Training]:
    """List the snapshots that hold rows of series, and what was made from each."""
    return list(_trainings(uids, workspace, tracking))


def found_in_trainings(trainings: Collection[Training]) -> Found:
    """Name the snapshots that lose rows, the files in MLflow, and the releases and models that stay."""
    snapshots = [training.digest for training in trainings]
    artifacts = [f"{kept.run_id} {kept.path}" for training in trainings for kept in training.artifacts]
    releases = [str(version) for training in trainings for version in training.releases]
    models = [name for training in trainings for name in training.models]
    return {
        "snapshots": dict.fromkeys(snapshots, 1),
        "artifacts": dict.fromkeys(artifacts, 1),
        "releases": dict.fromkeys(releases, 1),
        "models": dict.fromkeys(models, 1),
        "elsewhere": {uri: 1 for training in trainings for uri in training.elsewhere},
    }


def erase_training(training: Training, uids: Collection[str], tracking: Tracking, *, name: str, on: str) -> list[str]:
    """Mark the releases of a snapshot, then delete pictures, then take the rows out of every copy.

    In this order: as long as a copy holds the rows, a second try finds what was made from them.

    Returns
    -------
    list of str
        Addresses of pictures that MLflow's storage did not delete.
    """
    for version in training.releases:
        erasure.mark_release(tracking, version, name, training.share.sentence(on))
    left = [one.uri for one in training.pictures if not erasure.delete(tracking, one)]
    for copy in training.copies:
        with tempfile.TemporaryDirectory() as scratch:
            file = erasure.copy_artifact(tracking, copy, Path(scratch))
            redact(file, uids, on)
            erasure.replace(tracking, copy, file)
    if training.file:
        redact(training.file, uids, on)
    return left


def _trainings(uids: Collection[str], workspace: Path, tracking: Tracking) -> Iterator[Training]:
    runs = erasure.runs_by_snapshot(tracking)
    files = {file.stem: file for file in snapshot_files(workspace)}
    releases = {one.version: one.record for one in registry.list_releases(tracking) if one.record}
    for digest in sorted({*runs, *files}):
        run_ids = runs.get(digest, [])
        copies = erasure.kept_snapshots(tracking, run_ids)
        share = _share(files.get(digest), copies, uids, tracking)
        if share.series:
            made = {version: record for version, record in releases.items() if record.snapshot_name == digest}
            pictures = erasure.kept_pictures(tracking, run_ids) if "validation" in share.splits else []
            yield Training(
                digest=digest,
                share=share,
                file=files.get(digest),
                copies=_own(copies, tracking),
                pictures=_own([*pictures, *erasure.kept_profiles(tracking, run_ids)], tracking),
                releases=list(made),
                elsewhere=erasure.roots_elsewhere(tracking, run_ids),
                models=_models(made.values()) if share.splits - {"test"} else [],
            )


def _own(found: Iterable[erasure.Kept], tracking: Tracking) -> list[erasure.Kept]:
    return [kept for kept in found if erasure.is_own(tracking, kept)]


def _models(releases: Iterable[ReleaseRecord]) -> list[str]:
    """Name what releases pin in the registry: sector models, a backbone, and models of findings that were trained."""
    pins = {
        pin
        for record in releases
        for pin in [
            *((sector.model_name, sector.version) for sector in record.sectors),
            (record.backbone.model_name, record.backbone.version),
            *_of_findings(record),
        ]
    }
    return [f"{name} version {version}" for name, version in sorted(pin for pin in pins if pin[0])]


def _of_findings(record: ReleaseRecord) -> list[tuple[str, int]]:
    """Name what was trained on the store's nodules, pinned or not."""
    pin = record.nodules
    detector = [(pin.detector, pin.version)] if pin and pin.detector != EMBEDDED else []
    return detector + [(one.model.name, one.model.version) for one in record.systems if one.model]


def _share(file: Path | None, copies: list[erasure.Kept], uids: Collection[str], tracking: Tracking) -> Share:
    """Look for the rows in the file, else in the copies one by one: a first try may have come to some of them."""
    share = share_of(file, uids) if file else Share(0, 0, frozenset())
    for copy in copies:
        if share.series:
            break
        with tempfile.TemporaryDirectory() as scratch:
            share = share_of(erasure.copy_artifact(tracking, copy, Path(scratch)), uids)
    return share
