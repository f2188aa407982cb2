import json

import pytest

from lidcflow.errors import EngineError, TrainingError
from tests.learn.real_sets import write_patches


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--nodules"], "--nodules needs --data"),
        (["--data", "."], "--data need --nodules"),
        (["--nodules", "--data", ".", "--volumes", 9], "--volumes are of the backbone"),
        (["--segmenter"], "--segmenter needs --data"),
        (["--segmenter", "--data", ".", "--nodules"], "--nodules don't go with --segmenter"),
    ],
)
def test_options_of_the_other_training_are_refused(lidcflow, arguments, sentence):
    done = lidcflow("pretrain", *arguments)

    assert done.exit_code == 2
    assert sentence in " ".join(done.output.replace("│", " ").split())


def test_missing_images_are_named_before_anything_starts(lidcflow, tmp_path):
    done = lidcflow("pretrain", "--nodules", "--data", tmp_path)

    assert isinstance(done.exception, TrainingError)
    assert "nodule-patches/patches.npz" in str(done.exception)
    assert list(tmp_path.iterdir()) == []


def test_a_detector_trained_on_patches_alone_is_printed_with_its_figures(lidcflow, tmp_path, monkeypatch):
    write_patches(tmp_path)
    monkeypatch.setattr("lidcflow.learn.nodule_pretraining.NORM_BATCHES", 1)

    done = lidcflow("pretrain", "--nodules", "--data", tmp_path, "--patches-only", "--steps", 1, "--json")

    made = json.loads(done.stdout)
    assert made["card"]["patches"]["validation"]["patches"] == 4
    assert (tmp_path / made["folder"] / "detector.npz").is_file()


def test_missing_cubes_are_named_before_anything_starts(lidcflow, tmp_path):
    done = lidcflow("pretrain", "--segmenter", "--data", tmp_path)

    assert isinstance(done.exception, TrainingError)
    assert "nodule-cubes/cubes.npz" in str(done.exception)


@pytest.mark.parametrize("arguments", [[], ["--nodules", "--data", "."], ["--segmenter", "--data", "."]])
def test_missing_tensorflow_is_named_before_images_are_read(lidcflow, monkeypatch, arguments):
    monkeypatch.setattr("lidcflow.learn.backend.find_spec", lambda _: None)
    monkeypatch.delenv("KERAS_BACKEND", raising=False)

    done = lidcflow("pretrain", *arguments)

    assert isinstance(done.exception, EngineError)
    assert str(done.exception).endswith("pip install 'lidcflow[cpu]' or 'lidcflow[gpu]'")
