"""Remove single series from MLflow: rows of snapshots and pictures of slices; and mark their releases."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run as MlflowRun
from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from lidcflow.erase.workspace_files import is_inside
from lidcflow.errors import ErasureError
from tasks.tracking.connection import Tracking, connect, is_there, local_path
from tasks.tracking.registry import ERASED_TAG

SNAPSHOT_FOLDER = "snapshot"
PROFILE_FOLDER = "profile"
PICTURES = ("slices.png", "candidates.png")
"""Artifacts of the run of a sector or a detector that show images of its validation patients."""


@dataclass(frozen=True)
class Kept:
    """An artifact of a run."""

    run_id: str
    path: str
    uri: str


def runs_by_snapshot(tracking: Tracking) -> dict[str, list[str]]:
    """Return the runs of trainings and arms by the first digits of their snapshot's digest, deleted runs too."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    if is_there(tracking):
        for run in _runs(connect(tracking), "tags.snapshot LIKE '%'"):
            found[run.data.tags["snapshot"]].append(run.info.run_id)
    return dict(found)


def kept_snapshots(tracking: Tracking, run_ids: list[str]) -> list[Kept]:
    """List the snapshot files among the artifacts of runs."""
    client = connect(tracking)
    return [kept for run_id in run_ids for kept in _artifacts(client, run_id, SNAPSHOT_FOLDER)]


def kept_pictures(tracking: Tracking, run_ids: list[str]) -> list[Kept]:
    """List the pictures of slices among the artifacts of runs and of the runs below them."""
    client = connect(tracking)
    below = [
        run.info.run_id for run_id in run_ids for run in _runs(client, f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{run_id}'")
    ]
    return [kept for one in [*run_ids, *below] for kept in _artifacts(client, one, None) if kept.path in PICTURES]


def kept_profiles(tracking: Tracking, run_ids: list[str]) -> list[Kept]:
    """List the profiles among the artifacts of runs: figures of every training series, without any name."""
    client = connect(tracking)
    return [kept for run_id in run_ids for kept in _artifacts(client, run_id, PROFILE_FOLDER)]


def roots_elsewhere(tracking: Tracking, run_ids: list[str]) -> list[str]:
    """Return the folders of runs and of the runs below them that lie outside the workspace: they are another's."""
    client = connect(tracking)
    below = [run for run_id in run_ids for run in _runs(client, f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{run_id}'")]
    runs = [*map(client.get_run, run_ids), *below]
    return [
        run.info.artifact_uri for run in runs if not is_own(tracking, Kept(run.info.run_id, "", run.info.artifact_uri))
    ]


def copy_artifact(tracking: Tracking, kept: Kept, folder: Path) -> Path:
    """Copy an artifact into a folder."""
    return Path(connect(tracking).download_artifacts(kept.run_id, kept.path, str(folder)))


def is_own(tracking: Tracking, kept: Kept) -> bool:
    """Return whether an artifact may be changed: a file outside the workspace, whatever names it, is another's.

    With a tracking server, and in a bucket, the configuration says that the place is shared.
    """
    file = local_path(kept.uri)
    if file is None or tracking.artifacts is None:
        return True
    folder = local_path(tracking.artifacts)
    return folder is not None and is_inside(file, folder.parents[1])


def replace(tracking: Tracking, kept: Kept, file: Path) -> None:
    """Put a file in place of an artifact of the same name.

    Raises
    ------
    ErasureError
        If it lies outside the workspace.
    """
    if not is_own(tracking, kept):
        raise ErasureError(f"erase: {kept.path} of run {kept.run_id} must lie in the workspace; delete it by hand")
    connect(tracking).log_artifact(kept.run_id, str(file), SNAPSHOT_FOLDER)


def delete(tracking: Tracking, kept: Kept) -> bool:
    """Delete an artifact; false where its storage can't or will not, or where it lies outside the workspace."""
    if not is_own(tracking, kept):
        return False
    client = connect(tracking)
    root = client.get_run(kept.run_id).info.artifact_uri
    try:
        get_artifact_repository(root, tracking_uri=tracking.uri).delete_artifacts(kept.path)
    except (MlflowException, NotImplementedError, OSError):
        return False
    return kept not in _artifacts(client, kept.run_id, None)


def mark_release(tracking: Tracking, version: int, erasure: str, sentence: str) -> None:
    """Mark a release as made from data that were erased since; to mark it again changes nothing."""
    client, name = connect(tracking), tracking.registry_name
    client.set_model_version_tag(name, str(version), f"{ERASED_TAG}.{erasure}", sentence)
    description = client.get_model_version(name, str(version)).description or ""
    if sentence not in description:
        client.update_model_version(name, str(version), f"**Erased:** {sentence}.\n\n{description}")


def _artifacts(client: MlflowClient, run_id: str, folder: str | None) -> list[Kept]:
    root = client.get_run(run_id).info.artifact_uri
    return [
        Kept(run_id, found.path, f"{root}/{found.path}")
        for found in client.list_artifacts(run_id, folder)
        if not found.is_dir
    ]


def _runs(client: MlflowClient, wanted: str) -> Iterator[MlflowRun]:
    experiments = [one.experiment_id for one in client.search_experiments(view_type=ViewType.ALL)]
    page = client.search_runs(experiments, wanted, ViewType.ALL, max_results=1000)
    yield from page
    while page.token:
        page = client.search_runs(experiments, wanted, ViewType.ALL, max_results=1000, page_token=page.token)
        yield from page
