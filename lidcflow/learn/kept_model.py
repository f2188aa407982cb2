"""A model that a training has kept in a folder: its files, facts about it, and a digest over all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Protocol, TypeVar

from pydantic import ValidationError

from lidcflow.errors import WeightsError
from lidcflow.files import digest_of_folder, whole_folder
from lidcflow.stats.estimate import Record

FACTS, DIGEST = "own.json", "sha256"


class Facts(Record):
    """Facts kept of every trained model beside its weights.

    Attributes
    ----------
    lidcflow_version : str
        Version that trained it.
    """

    lidcflow_version: str


class Kept(Protocol):
    """A model with its facts."""

    @property
    def facts(self) -> Facts:
        """Facts that were kept."""


FactsType = TypeVar("FactsType", bound=Facts)
KeptType = TypeVar("KeptType", bound=Kept)


@contextmanager
def kept_model(folder: Path, facts: Facts) -> Iterator[Path]:
    """Write a model whole or not at all: yield a folder for its files, then add facts and digest.

    Parameters
    ----------
    folder : Path
        Where the model is kept.
    facts : Facts
        What is to be kept beside the files.
    """
    with whole_folder(folder) as draft:
        yield draft
        (draft / FACTS).write_text(facts.model_dump_json(), encoding="utf-8")
        (draft / DIGEST).write_text(digest_of_folder(draft), encoding="utf-8")


def read_facts(folder: Path, kind: type[FactsType]) -> FactsType:
    """Return the facts of a kept model.

    Raises
    ------
    OSError
        If there are none.
    ValidationError
        If they can't be read.
    """
    return kind.model_validate_json((folder / FACTS).read_bytes())


def find_kept(folder: Path, read: Callable[[Path], KeptType]) -> KeptType | None:
    """Return a kept model; None where there is none, or one that changed or is of another version of lidcflow.

    It is trained again then.

    Parameters
    ----------
    folder : Path
        Where it is kept.
    read : callable
        Reads the model and its facts from a folder.
    """
    try:
        if digest_of_folder(folder, without=(DIGEST,)) != (folder / DIGEST).read_text(encoding="utf-8"):
            return None
        found = read(folder)
    except (OSError, ValueError, KeyError, ValidationError, WeightsError):
        return None
    return found if found.facts.lidcflow_version == installed_version("lidcflow") else None
