"""What a worker finds wrong with itself."""

import os

import pytest

from lidcflow.config import Access, Config, PreprocessConfig
from lidcflow.store.address import training_store
from lidcflow.store.volumes import VolumeStore
from tasks.cluster.join import Files, Question, fault_here, versions_here
from tasks.cluster.workers import files_of, question_for


def asked(files, **versions):
    return Question({**versions_here(["numpy", "zarr"]), **versions}, files, needs_gpu=False)


@pytest.fixture
def config(tmp_path):
    config = Config(workspace=tmp_path, preprocess=PreprocessConfig(slices=8, size=16))
    VolumeStore.of(config, create=True)
    return config


def test_a_process_like_the_flows_own_has_no_fault(config):
    assert fault_here(question_for("preprocess", files_of(training_store(config)), gpus=0)) == ""
    assert fault_here(question_for("train", files_of(training_store(config)), gpus=1)) == ""


def test_every_package_that_differs_is_named_with_both_versions():
    fault = fault_here(asked(Files(), numpy="1.0", zarr="2.0", keras="3.0"))

    here = versions_here(["numpy", "zarr", "keras"])
    for package, wanted in {"numpy": "1.0", "zarr": "2.0", "keras": "3.0"}.items():
        assert f"{package} {here[package]} (the flow has {wanted})" in fault


def test_a_package_that_is_not_there_and_another_python_are_faults():
    fault = fault_here(asked(Files(), python="2.7", nothing_like_it="1.0"))

    assert "nothing_like_it not installed (the flow has 1.0)" in fault
    assert "(the flow has 2.7)" in fault


def test_tensorflow_matters_to_those_alone_that_learn_under_either_of_its_names():
    learning = question_for("train", Files(), gpus=0).versions

    assert {"keras", "tensorflow"} <= set(learning)
    assert not {"keras", "tensorflow"} & set(question_for("preprocess", Files(), gpus=0).versions)


def test_work_of_flows_that_ask_differently_is_told_apart(config):
    names = {
        question_for("preprocess", files_of(training_store(config)), gpus=0).name,
        question_for("train", files_of(training_store(config)), gpus=0).name,
        question_for("train", files_of(training_store(config)), gpus=1).name,
        question_for("preprocess", Files(), gpus=0).name,
        asked(Files(), numpy="1.0").name,
    }

    assert len(names) == 5
    assert question_for("train", files_of(training_store(config)), gpus=1).name in names


def test_a_store_that_another_one_took_the_place_of_is_a_fault(config):
    question = asked(files_of(training_store(config)))
    marker = config.workspace / "store" / "lidcflow.json"

    os.utime(marker, (1, 1))

    assert "got another store at that path; mount" in fault_here(question)


def test_a_store_that_is_not_there_is_a_fault(config):
    question = asked(files_of(training_store(config)))
    (config.workspace / "store").rename(config.workspace / "moved")

    assert f"must reach the store {config.store_root}, got No such file or directory there" in fault_here(question)


def test_an_image_that_can_not_be_read_is_a_fault_without_its_path(tmp_path):
    image = tmp_path / "Doe^John" / "1.dcm"

    fault = fault_here(asked(Files(sample=str(image))))

    assert "must read the source's images, got none at the flow's path" in fault
    assert "Doe" not in fault


def test_a_bucket_is_read_with_the_workers_own_means(objects, tmp_path):
    access = objects.access
    config = Config(workspace=tmp_path, store="s3://bucket/store", access=access)
    VolumeStore.of(config, create=True)
    files = files_of(training_store(config))
    nowhere = Access(s3={"endpoint": "http://127.0.0.1:9", "retries": 0, "timeout_s": 1, "region": "us-east-1"})

    reached = fault_here(asked(files))
    lost = fault_here(asked(Files(files.store, files.marker, None, None, nowhere.model_dump_json())))
    another = fault_here(asked(Files(files.store, "0" * 64, None, None, files.access)))

    assert reached == ""
    assert "must reach the store s3://bucket/store, got ResourceError" in lost
    assert "AWS_ACCESS_KEY_ID" in lost
    assert "got another store of that name" in another
