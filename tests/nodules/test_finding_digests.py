"""Digests that releases pin are those of the models, and damaged files are refused."""

import shutil

import pytest

from lidcflow.errors import WeightsError
from lidcflow.nodules import finding_digests as module
from lidcflow.nodules.finding_digests import WEIGHTS, finding_digests
from lidcflow.nodules.malignancy import embedded_malignancy
from lidcflow.nodules.segmenter import embedded_segmenter


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "WEIGHTS", tmp_path)
    finding_digests.cache_clear()
    yield shutil.copytree(WEIGHTS, tmp_path, dirs_exist_ok=True)
    finding_digests.cache_clear()


def test_they_are_those_of_the_models():
    assert finding_digests() == {"segmenter": embedded_segmenter().sha256, "malignancy": embedded_malignancy().sha256}


@pytest.mark.parametrize("name", ["segmenter", "malignancy"])
def test_weights_that_the_card_does_not_speak_of_are_refused(folder, name):
    (folder / f"{name}.npz").write_bytes(b"others")

    with pytest.raises(WeightsError, match=f"must be {name}.npz with its card {name}.json, got weights of"):
        finding_digests()


def test_missing_files_are_named_with_the_way_out(folder):
    (folder / "segmenter.json").unlink()

    with pytest.raises(WeightsError, match=r"card segmenter\.json, got FileNotFoundError; install lidcflow again"):
        finding_digests()
