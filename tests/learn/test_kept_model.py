"""A trained model is found again whole, and otherwise trained again."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest

from lidcflow.learn.kept_model import FACTS, Facts, find_kept, kept_model, read_facts


@dataclass(frozen=True)
class Model:
    weights: bytes
    facts: Facts


def read(folder: Path) -> Model:
    return Model((folder / "weights").read_bytes(), read_facts(folder, Facts))


def keep(folder: Path, *, by: str | None = None) -> None:
    with kept_model(folder, Facts(lidcflow_version=by or version("lidcflow"))) as draft:
        (draft / "weights").write_bytes(b"1234")


def test_a_kept_model_is_found_with_its_facts(tmp_path: Path) -> None:
    keep(tmp_path / "model")
    found = find_kept(tmp_path / "model", read)
    assert found is not None
    assert (found.weights, found.facts.lidcflow_version) == (b"1234", version("lidcflow"))


def test_no_folder_is_no_model(tmp_path: Path) -> None:
    assert find_kept(tmp_path / "model", read) is None


@pytest.mark.parametrize("file", ["weights", FACTS])
def test_a_changed_file_is_no_model(tmp_path: Path, file: str) -> None:
    keep(tmp_path / "model")
    (tmp_path / "model" / file).write_bytes(b"4321")
    assert find_kept(tmp_path / "model", read) is None


def test_a_file_more_is_no_model(tmp_path: Path) -> None:
    keep(tmp_path / "model")
    (tmp_path / "model" / "more").write_bytes(b"")
    assert find_kept(tmp_path / "model", read) is None


def test_the_model_of_another_version_is_no_model(tmp_path: Path) -> None:
    keep(tmp_path / "model", by="0.0.1")
    assert find_kept(tmp_path / "model", read) is None


def test_a_model_whose_writing_failed_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with kept_model(tmp_path / "model", Facts(lidcflow_version="1")) as draft:
            (draft / "weights").write_bytes(b"12")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert not list(tmp_path.iterdir())
