"""The record of a release, its threshold and the digest of its inputs."""

import numpy as np
import pytest

from lidcflow.config import LabelConfig, NodulesConfig, TrainConfig
from lidcflow.errors import ReleaseError
from lidcflow.release.record import DetectorPin, ReleaseRecord, sector_model_name
from lidcflow.release.training_inputs import deciding_nodules, inputs_digest, training_settings
from lidcflow.stats.estimate import ClassCounts


def test_a_record_survives_its_own_json(release_record):
    assert ReleaseRecord.model_validate_json(release_record.model_dump_json()).check() == release_record


def test_sectors_must_cover_every_slice_once(release_record):
    first, second = release_record.sectors
    gap = release_record.model_copy(update={"sectors": (first.model_copy(update={"last_slice": 3}), second)})

    with pytest.raises(ReleaseError, match="must cover the slices 1 to 8 once each, got 7"):
        gap.check()


def test_a_preprocessing_of_another_version_is_refused(release_record):
    with pytest.raises(ReleaseError, match=r"train again, or use the lidcflow 0\.1\.0"):
        release_record.model_copy(update={"preprocess_digest": "0" * 64}).check()


def test_a_record_from_before_the_checks_of_the_gate_is_read_all_the_same(release_record):
    old = release_record.model_dump(mode="json")
    del old["threshold"], old["data"], old["gate"]["checks"]

    assert ReleaseRecord.model_validate(old).check() == release_record


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


def test_engine_and_precision_count_by_the_name_of_the_features_alone():
    trains = TrainConfig(), TrainConfig(engine="openvino", precision="bf16")

    digests = {inputs_digest("snap", "a", "pre", train, LabelConfig()) for train in trains}

    assert len(digests) == 1


def test_another_number_of_epochs_is_another_training():
    one, two = (inputs_digest("snap", "a", "pre", TrainConfig(epochs=n), LabelConfig()) for n in (1, 2))

    assert one != two


def test_sector_models_sort_by_number_in_the_registry():
    names = [sector_model_name("lidcflow", 13, sector) for sector in (2, 10)]

    assert names == sorted(names) == ["lidcflow.13-sectors.sector-02", "lidcflow.13-sectors.sector-10"]


def test_a_recommendation_is_told_which_sectors_are_read_by_the_all_sector_model(release_record):
    facts = release_record.facts()

    assert (facts.version, facts.sector_num, facts.fallback_sectors) == (3, 2, (2,))


def test_where_readings_lie_does_not_change_what_a_training_is():
    digests = {
        inputs_digest("snap", "a", "pre", TrainConfig(), LabelConfig(source=source)) for source in ("lidc", "own.csv")
    }

    assert digests == {"ebdc9d478f192a33a84625c86975bdd3355c288773a4d9d2aff225eb453ee084"}


def test_settings_of_finetuning_decide_a_finetuned_release_alone():
    def digest(**settings):
        return inputs_digest("snap", "a", "pre", TrainConfig(**settings), LabelConfig())

    assert digest() == digest(finetune={"patience": 9})
    assert len({digest(), digest(mode="finetune"), digest(mode="finetune", finetune={"patience": 9})}) == 3
    assert digest(mode="finetune") == digest(mode="finetune", finetune={"from_block": "stage3"})


def test_the_settings_of_a_training_name_those_of_finetuning_only_where_they_count():
    assert not [name for name in training_settings(TrainConfig()) if name.startswith("finetune")]
    assert training_settings(TrainConfig(mode="finetune"))["finetune_from_block"] == "stage3"


DETECTOR = DetectorPin(detector="embedded", version=1, sha256="ab", threshold=0.5)


def digest_with(candidates="c", detector=DETECTOR, candidates_on=True):
    nodules = deciding_nodules(candidates, detector, NodulesConfig(candidates=candidates_on))
    return inputs_digest("snap", "a", "pre", TrainConfig(), LabelConfig(), nodules)


def test_a_training_without_nodules_has_the_digest_of_before_there_were_any():
    assert digest_with(detector=None) == inputs_digest("snap", "a", "pre", TrainConfig(), LabelConfig())


def test_candidates_detector_and_settings_of_nodules_make_another_training():
    others = [
        digest_with(detector=None),
        digest_with(),
        digest_with(candidates="d"),
        digest_with(detector=DETECTOR.model_copy(update={"sha256": "cd"})),
        digest_with(detector=DETECTOR.model_copy(update={"threshold": 0.6})),
        digest_with(candidates_on=False),
    ]

    assert len(set(others)) == len(others)
    assert digest_with() == digest_with(detector=DETECTOR.model_copy(update={"version": 2}))


def test_a_record_from_before_findings_is_read_all_the_same(release_record):
    old = release_record.model_dump(mode="json")
    del old["nodules"], old["findings"]

    assert ReleaseRecord.model_validate(old) == release_record
