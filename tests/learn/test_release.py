"""The record of a release, its threshold and the digest of its inputs."""

from datetime import UTC, datetime

import numpy as np
import pytest

from lidcflow.config import LabelConfig, PreprocessConfig, SplitConfig, TrainConfig
from lidcflow.errors import ReleaseError
from lidcflow.learn.release import (
    BackbonePin,
    ClassCounts,
    Gate,
    ReleaseRecord,
    SectorPin,
    inputs_digest,
    threshold_for,
)

PREPROCESS = PreprocessConfig(slices=8, size=32)
COUNTS = ClassCounts(non_nodule=5, benign=2, malignant=1)


def pin(sector: int, first_slice: int, last_slice: int) -> SectorPin:
    return SectorPin(
        sector=sector, first_slice=first_slice, last_slice=last_slice, model_name="m", version=1, training=COUNTS
    )


@pytest.fixture
def record():
    return ReleaseRecord(
        name="lidcflow",
        version=3,
        created=datetime(2026, 1, 2, tzinfo=UTC),
        sector_num=2,
        sectors=(pin(1, 1, 4), pin(2, 5, 8)),
        backbone=BackbonePin(id="compact-ab", kind="compact", digest="ab", input="gray", size=32),
        preprocess=PREPROCESS,
        preprocess_digest=PREPROCESS.digest,
        labels=LabelConfig(),
        split=SplitConfig(),
        train=TrainConfig(sector_num=2),
        threshold_nodule=0.25,
        snapshot_digest="cd",
        inputs_digest="ef",
        metrics={},
        gate=Gate(passed=True, reason="better", compared_with="sector prior"),
        synthetic=True,
        lidcflow_version="0.1.0",
    )


def test_a_record_survives_its_own_json(record):
    assert ReleaseRecord.model_validate_json(record.model_dump_json()).check() == record


def test_sectors_must_cover_every_slice_once(record):
    gap = record.model_copy(update={"sectors": (pin(1, 1, 3), pin(2, 5, 8))})

    with pytest.raises(ReleaseError, match="must cover the slices 1 to 8 once each, got 7"):
        gap.check()


def test_a_preprocessing_of_another_version_is_refused(record):
    with pytest.raises(ReleaseError, match=r"train again, or use the lidcflow 0\.1\.0"):
        record.model_copy(update={"preprocess_digest": "0" * 64}).check()


@pytest.mark.parametrize(("target", "threshold"), [(0.25, 0.9), (0.5, 0.7), (0.51, 0.4), (0.99, 0.1)])
def test_the_threshold_is_the_highest_that_finds_enough_nodule_slices(target, threshold):
    p_nodule = np.array([0.9, 0.8, 0.7, 0.4, 0.1, 0.05])
    labels = np.array([1, 0, 2, 1, 1, 0])

    assert threshold_for(p_nodule, labels, target) == threshold


def test_a_threshold_needs_a_nodule():
    with pytest.raises(ReleaseError, match="at least one nodule, got none"):
        threshold_for(np.array([0.5]), np.array([0]), 0.8)


def test_labels_are_counted_by_class():
    assert ClassCounts.of(np.array([[0, 0, 2], [1, 0, 0]])) == ClassCounts(non_nodule=4, benign=1, malignant=1)


def test_the_inputs_digest_ignores_where_the_weights_lie_but_not_what_they_are(tmp_path):
    here = TrainConfig(backbone="resnet50", backbone_weights=tmp_path / "weights.h5")
    there = TrainConfig(backbone="resnet50")

    digests = [
        inputs_digest("snap", backbone, "pre", train, LabelConfig())
        for backbone, train in [("a", here), ("a", there), ("b", there)]
    ]

    assert digests[0] == digests[1] != digests[2]


def test_another_number_of_epochs_is_another_training():
    one, two = (inputs_digest("snap", "a", "pre", TrainConfig(epochs=n), LabelConfig()) for n in (1, 2))

    assert one != two
