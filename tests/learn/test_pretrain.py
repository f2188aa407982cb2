import hashlib

import numpy as np
import pytest

from lidcflow.config import TrainConfig
from lidcflow.learn.chests import PretrainingSet
from lidcflow.learn.networks import load_backbone
from lidcflow.learn.pretrain import PretrainSettings, pretrain, pretraining_network, score_chests

TINY = PretrainSettings(volumes=1, held_out=1, steps=2, batch_size=4, processes=1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, traced):
    folder = tmp_path_factory.mktemp("pretrain")
    stages = []
    work = folder / "work"
    work.mkdir()
    report = pretrain(folder / "mine.npz", TINY, work=work, on_progress=lambda *stage: stages.append(stage))
    return report, stages, work


def test_pretraining_writes_a_weight_file_that_loads(trained):
    report, _, _ = trained

    model, backbone = load_backbone(TrainConfig(backbone_weights=report.file, backbone_sha256=report.sha256), 128)

    assert backbone.digest == hashlib.sha256(report.file.read_bytes()).hexdigest()
    assert model.output_shape == (None, backbone.feature_dim)


def test_pretraining_leaves_no_chests_behind(trained):
    _, _, work = trained

    assert list(work.iterdir()) == []


def test_pretraining_tells_how_far_it_is(trained):
    _, stages, _ = trained

    assert stages == [("chests", 1, 2), ("chests", 2, 2), ("steps", 1, 2), ("steps", 2, 2)]


def test_held_out_chests_without_nodules_have_no_auroc():
    nothing = PretrainingSet(
        hu=np.zeros((1, 3, 2, 128, 128), np.int16),
        labels=np.zeros((1, 3), np.uint8),
        masks=np.zeros((1, 3, 128, 128), np.uint8),
    )

    assert np.isnan(score_chests(pretraining_network(TINY), nothing)).all()
