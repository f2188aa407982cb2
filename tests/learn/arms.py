"""Arms of experiments small enough to check in the head."""

from lidcflow.config import Config
from lidcflow.experiment.arm import ArmResult, Predictions, SectorCurves
from lidcflow.experiment.builtin import Arm
from lidcflow.stats.estimate import ClassCounts

LABELS = [0, 0, 1, 2]
CALLED = {0: [0.8, 0.1, 0.1], 1: [0.1, 0.8, 0.1], 2: [0.1, 0.1, 0.8]}


def arm(name, configuration=None, **settings):
    config = Config().with_settings({"train.sector_num": 2, "train.epochs": 2, "preprocess.slices": 8, **settings})
    return Arm(name, configuration or name, config)


def predictions(called):
    """What is called of each patient's four slices, whose labels are `LABELS`."""
    return Predictions(
        series=tuple(f"1.2.{patient}" for patient in called),
        patient_keys=tuple(f"{patient:04d}" for patient in called),
        labels=[LABELS for _ in called],
        probabilities=[[CALLED[label] for label in of] for of in called.values()],
    )


def result(called, training=(0.5, 0.75), fallback="", asked=None):
    """An arm of two sectors, whose held-out patients are called as `called` says."""
    curves = {f"{split}{name}": [0.25, 0.5] for split in ("", "val_", "test_") for name in ("accuracy", "loss")}
    counts = ClassCounts(non_nodule=3, benign=3, malignant=3)
    sectors = [
        SectorCurves(
            sector=number,
            first_slice=4 * number - 3,
            last_slice=4 * number,
            history={} if reason else {**curves, "accuracy": [0.1, accuracy]},
            best_epoch=None if reason else 1,
            available=ClassCounts(non_nodule=90, benign=3, malignant=5),
            asked=asked,
            training=counts,
            fallback=reason,
        )
        for number, accuracy, reason in zip((1, 2), training, ("", fallback), strict=True)
    ]
    held_out = predictions(called)
    return ArmResult(
        inputs_digest="f" * 64,
        series=9,
        patients=9,
        synthetic=True,
        sectors=tuple(sectors),
        held_out={"validation": held_out, "test": held_out},
    )
