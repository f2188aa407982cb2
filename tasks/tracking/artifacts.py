"""Copy artifacts of MLflow into a private folder before they are used; only regular files inside it are accepted."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository

from lidcflow.errors import ReleaseError
from tasks.tracking.connection import Tracking, tracking_connection
from tasks.tracking.plain_copy import MOST_BYTES, check_sizes, copy_plain


@contextmanager
def private_copy(
    tracking: Tracking, uri: str, what: str, *, only: str | None = None, most_bytes: int = MOST_BYTES
) -> Iterator[Path]:
    """Copy a folder of artifacts for as long as the block lasts; nobody else can change the copy.

    Parameters
    ----------
    tracking : Tracking
        Where MLflow is.
    uri : str
        Of the folder: ``models:/name/version`` or where artifacts lie.
    what : str
        What to call it in errors.
    only : str, optional
        The one file at the top of the folder that is wanted.
    most_bytes : int
        Of all its files together.

    Raises
    ------
    ReleaseError
        If it is gone, or holds links, devices, names that lead out of it, or more than `most_bytes`.
    TrackingAway
        If the MLflow server does not answer.
    """
    with tempfile.TemporaryDirectory(prefix="lidcflow-artifacts-") as folder:
        try:
            with tracking_connection(tracking):
                _copy(_repository(uri, tracking), Path(folder), only, most_bytes)
        except (MlflowException, OSError, ValueError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
            raise ReleaseError(
                f"{what}: must be whole in the registry, as plain files, got {reason}; put the files back from a copy, "
                "or train again"
            ) from None
        yield Path(folder)


def _repository(uri: str, tracking: Tracking) -> ArtifactRepository:
    found = get_artifact_repository(uri, tracking_uri=tracking.uri, registry_uri=tracking.uri)
    return found.repo if isinstance(found, ModelsArtifactRepository) else found


def _copy(repository: ArtifactRepository, folder: Path, only: str | None, most_bytes: int) -> None:
    if isinstance(repository, LocalArtifactRepository):
        copy_plain(Path(repository.artifact_dir), folder, only=only, most_bytes=most_bytes)
        return
    sizes = dict(_remote_files(repository, only))
    check_sizes(sizes, only, most_bytes)
    for name in sizes:
        copy = folder / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        repository._download_file(name, str(copy))


def _remote_files(
    repository: ArtifactRepository, only: str | None, below: str | None = None
) -> Iterator[tuple[str, int]]:
    """Yield names and sizes of the files that a storage lists, every name checked before anything is made of it."""
    for found in repository.list_artifacts(below):
        path = PurePosixPath(found.path)
        if path.is_absolute() or ".." in path.parts or "\\" in found.path or not path.is_relative_to(below or "."):
            raise ValueError(f"a name that leads out of the folder, {found.path!r}")
        if only is not None and found.path != only:
            continue
        if found.is_dir:
            yield from _remote_files(repository, only, found.path)
        else:
            yield found.path, int(found.file_size or 0)
