"""The files of a registered model and their digest, without Keras: what a release pins."""

from __future__ import annotations

from pathlib import Path

from lidcflow.errors import ReleaseError
from lidcflow.files import digest_of_folder
from lidcflow.release.record import ReleaseRecord
from tasks.tracking.model_copy import model_copy
from tasks.tracking.place import Tracking

FILE = "data/model.keras"
"""Place of the network in MLflow's Keras flavour. The file `MLmodel` could name another place: it is never read."""

WRITTEN_BY_READERS = ("registered_model_meta",)
"""File that MLflow's own loader writes into a model that somebody loads by it."""


def hash_model_files(folder: Path) -> str:
    """Return the SHA-256 of the files of a model in a folder."""
    return digest_of_folder(folder, without=WRITTEN_BY_READERS)


def digest_of_model(tracking: Tracking, uri: str) -> str:
    """Return the SHA-256 of all files of a model, as they are now.

    Raises
    ------
    ReleaseError
        If the model is gone, or holds links or names that lead out of it.
    """
    with model_copy(tracking, uri) as folder:
        return hash_model_files(folder)


def require_digest(folder: Path, sha256: str, uri: str) -> None:
    """Raise if the files of a model are not those that its release pins.

    Raises
    ------
    ReleaseError
        If one of them has changed, come or gone.
    """
    found = hash_model_files(folder)
    if found != sha256:
        raise ReleaseError(
            f"model {uri}: the SHA-256 of its files must be {sha256}, which its release pins, got {found}; they have "
            "changed since the training: put them back from a copy, or train again"
        )


def check_models(tracking: Tracking, release: ReleaseRecord) -> None:
    """Check the models of a release without loading them; of one without digests, that they are there.

    Raises
    ------
    ReleaseError
        If the files of one are gone or have changed.
    """
    digests = {pin.uri: pin.sha256 for pin in release.sectors}
    digests |= release.nodules.registered if release.nodules else {}
    for uri, sha256 in digests.items():
        with model_copy(tracking, uri) as folder:
            if sha256:
                require_digest(folder, sha256, uri)
