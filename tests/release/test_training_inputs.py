"""What decides a training, and what does not."""

from lidcflow.config import LabelConfig, NodulesConfig, TrainConfig
from lidcflow.release.pins import DetectorPin
from lidcflow.release.training_inputs import deciding_nodules, inputs_digest, training_settings


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


def test_folds_are_other_inputs_and_a_training_without_them_is_the_one_it_was_before_there_were_any():
    digest = inputs_digest("snap", "a", "pre", TrainConfig(), LabelConfig())

    assert digest == "ebdc9d478f192a33a84625c86975bdd3355c288773a4d9d2aff225eb453ee084"
    assert inputs_digest("snap", "a", "pre", TrainConfig(folds=5), LabelConfig()) != digest


def test_labels_from_marks_are_other_inputs_and_without_them_nothing_has_changed():
    with_marks, without = (
        inputs_digest("snap", "a", "pre", TrainConfig(), LabelConfig(marks=marks)) for marks in (True, False)
    )

    assert with_marks != without
    assert without == inputs_digest("snap", "a", "pre", TrainConfig(), LabelConfig())
