"""A release on a backbone of one's own pins the digest: inference finds the file, or says which is missing."""

import pytest

from lidcflow.config import Config, TrainConfig
from lidcflow.errors import WeightsError
from lidcflow.learn.backbones import describe_backbone
from lidcflow.release.description import sector_lines
from tasks.infer_series import config_for
from tests.learn.onnx_files import write_mean_network

pytestmark = pytest.mark.usefixtures("openvino")

IMAGES = {"features": 3, "layout": "channels-first"}


@pytest.fixture
def openvino():
    pytest.importorskip("openvino")


@pytest.fixture
def config(tmp_path):
    """Settings on a machine that has the file; they do not name its digest."""
    file = write_mean_network(tmp_path / "net.onnx")
    train = TrainConfig(backbone="onnx", engine="openvino", backbone_weights=file, images=IMAGES)
    return Config(workspace=tmp_path / "workspace", train=train)


@pytest.fixture
def release(release_record, config):
    """A release that was trained on the file."""
    preprocess, train = release_record.preprocess, config.train
    undigested = train.model_copy(update={"backbone_sha256": "0" * 64})
    with pytest.raises(WeightsError) as error:
        describe_backbone(undigested, preprocess.size)
    digest = str(error.value).partition("got ")[2][:64]
    found = describe_backbone(train.model_copy(update={"backbone_sha256": digest}), preprocess.size)
    pin = release_record.backbone.model_copy(update={"id": found.id, "kind": "onnx", "digest": digest})
    trained = train.model_copy(update={"backbone_weights": None})
    return release_record.model_copy(update={"backbone": pin, "train": trained, "nodules": None})


def test_the_file_is_found_and_held_against_the_digest_of_the_release(config, release):
    reading = config_for(release, config)

    assert reading.train.backbone_weights == config.train.backbone_weights
    assert reading.train.backbone_sha256 == release.backbone.digest


def test_another_file_is_refused(config, release):
    write_mean_network(config.train.backbone_weights, ("m", 3, 128, 128))

    with pytest.raises(WeightsError, match=f"SHA-256 must be {release.backbone.digest}"):
        config_for(release, config)


def test_where_no_file_is_named_the_one_that_is_missing_is(config, release):
    elsewhere = config.model_copy(update={"train": TrainConfig()})

    with pytest.raises(WeightsError, match=f"the onnx file with SHA-256 {release.backbone.digest}, must be at hand"):
        config_for(release, elsewhere)


def test_the_lines_of_a_sector_model_describe_the_backbone(release):
    lines = sector_lines(release, release.sectors[0])

    assert f'backbone_sha256="{release.backbone.digest}", engine="openvino", images={{' in lines
