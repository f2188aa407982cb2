from dataclasses import replace

import numpy as np
import pytest

from lidcflow.errors import TrainingError
from lidcflow.learn import nodule_detector, nodule_pretraining
from lidcflow.learn.nodule_detector import assemble, pretrain_nodules
from lidcflow.learn.nodule_pretraining import TrainedDetector
from lidcflow.learn.nodule_sets import read_sets
from lidcflow.learn.nodule_training import NoduleTraining
from lidcflow.nodules.detector import read_detector
from tests.learn.real_sets import write_patches
from tests.learn.test_nodule_calibration import found
from tests.nodules.detectors import random_weights

TINY = NoduleTraining(steps=2, batch_size=8)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nodules")
    write_patches(folder)
    stages = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nodule_pretraining, "NORM_BATCHES", 1)
        report = pretrain_nodules(
            folder, folder / "out", TINY, patches_only=True, on_progress=lambda *stage: stages.append(stage)
        )
    return report, stages


def test_a_training_on_patches_leaves_a_detector_with_its_card(trained):
    report, stages = trained

    detector = read_detector(report.folder)

    assert detector.sha256 == report.sha256 == report.card["sha256"]
    assert len(detector.networks) == 1
    assert detector.card["patches"]["validation"]["nodules"] == 1
    assert detector.card["training"]["steps"] == 2
    assert stages == [("network", 1, 2), ("network", 2, 2)]


@pytest.fixture
def sets(tmp_path):
    """Return made-up patches, and three series of twelve candidates, the first of them in a nodule."""
    write_patches(tmp_path)
    rng = np.random.default_rng(0)
    series = []
    for uid in ("1.1", "1.2", "1.3"):
        images = rng.integers(0, 256, (12, 6, 72, 72), dtype=np.uint8)
        series.append(replace(found([0, *[-1] * 11], [4]), series_instance_uid=uid, images=images))
    return replace(read_sets(tmp_path, seed=0, patches_only=True), series=tuple(series))


def test_a_detector_is_calibrated_and_ranked_on_series_with_networks_that_leave_them_out(tmp_path, sets):
    left_out = {"1.1": random_weights(1), "1.2": random_weights(2)}

    report = assemble(tmp_path / "out", random_weights(0), left_out, sets, TINY, 1.0)

    assert set(report.card["candidates"]) == {"1.1", "1.2"}
    figures = report.card["candidates"]["1.1"]
    assert figures["candidates"] == 12
    ranks = figures["readers and rank of each nodule"]
    assert set(ranks) == {"filter", "size", "axial plane", "three planes", "P(nodule)"}
    assert ranks["filter"] == [[4, 1]]


def test_a_detector_is_calibrated_anew_from_its_folder(tmp_path, sets, monkeypatch):
    left_out = {"1.1": random_weights(1), "1.2": random_weights(2)}
    first = assemble(tmp_path / "out", random_weights(0), left_out, sets, TINY, 1.0)
    monkeypatch.setattr(nodule_detector, "read_sets", lambda *_, **__: sets)

    again = nodule_detector.recalibrate(tmp_path, tmp_path / "out", tmp_path / "again")

    assert again.sha256 == first.sha256
    assert again.card == first.card


def test_a_detector_without_the_networks_that_leave_series_out_is_not_calibrated_anew(trained, monkeypatch):
    report, _ = trained
    monkeypatch.setattr(nodule_detector, "read_sets", lambda *_, **__: None)
    (report.folder / nodule_detector.LEFT_OUT_FILE).unlink()

    with pytest.raises(TrainingError, match=r"must have left-out.npz"):
        nodule_detector.recalibrate(report.folder, report.folder, report.folder)


def test_each_series_is_left_out_once(monkeypatch, tmp_path, sets):
    trained_on = []

    def train(sources, settings, *, start, on_progress):
        trained_on.append((settings.steps, start, {uid for source in sources for uid in source.series} - {""}))
        return TrainedDetector(random_weights(len(trained_on)), 0.0, 0.0)

    sources = tuple(
        replace(source, series=np.resize(["1.1", "1.2", ""], len(source.series))) for source in sets.sources
    )
    monkeypatch.setattr(nodule_detector, "read_sets", lambda *_, **__: replace(sets, sources=sources))
    monkeypatch.setattr(nodule_detector, "train_detector", train)
    monkeypatch.setattr(nodule_detector, "MEASURED_ON", ("1.1", "1.2"))

    nodule_detector.pretrain_nodules(tmp_path, tmp_path / "out", NoduleTraining(steps=9, more_steps=3))

    assert [steps for steps, _, _ in trained_on] == [9, 3, 3, 3]
    assert [uids for _, _, uids in trained_on] == [set(), {"1.2"}, {"1.1"}, {"1.1", "1.2"}]
    assert trained_on[0][1] is None
    assert all(start is not None for _, start, _ in trained_on[1:])
