"""The release that ships with the package: it reads real CT in a workspace without any training."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version

from lidcflow.config import LabelConfig, PreprocessConfig, SplitConfig, TrainConfig
from lidcflow.nodules.chest_height import embedded_chest_height
from lidcflow.nodules.detector import embedded_detector
from lidcflow.nodules.finding_digests import finding_digests
from lidcflow.nodules.join_weights import FINDINGS_ALONE, JoinWeights
from lidcflow.release.outcome import Gate
from lidcflow.release.pins import EMBEDDED, BackbonePin, DetectorPin, NodulePin
from lidcflow.release.record import ReleaseRecord

NAME, VERSION = "lidcflow-embedded", 202611
"""Year and month of its weights: registries count from 1."""

LIDC_SHARE = 0.0943
"""Share of the slices of LIDC-IDRI with a nodule: 6,236 of 66,170."""


def embedded_detector_pin() -> DetectorPin:
    """Return what a release pins of the detector that ships with the package.

    Raises
    ------
    WeightsError
        If the files of the detector are missing or damaged.
    """
    detector = embedded_detector()
    return DetectorPin(
        detector=EMBEDDED, version=VERSION, sha256=detector.sha256, threshold=detector.calibration.threshold
    )


def embedded_pin(slices: int) -> NodulePin:
    """Return what the embedded release pins: its detector, and the heights of LIDC-IDRI's nodules in the chest.

    Parameters
    ----------
    slices : int
        Slices of a volume.

    Raises
    ------
    WeightsError
        If the files of the detector are missing or damaged.
    """
    joined = JoinWeights.independent(LIDC_SHARE)
    height = embedded_chest_height(slices)
    return NodulePin(
        **embedded_detector_pin().model_dump(),
        with_sectors=joined,
        with_height=joined,
        malignant_with_sectors=FINDINGS_ALONE,
        malignant_with_height=FINDINGS_ALONE,
        chest_height=tuple((float(none), float(benign), float(malignant)) for none, benign, malignant in height),
        **finding_digests(),
    )


def embedded_release(preprocess: PreprocessConfig) -> ReleaseRecord:
    """Return the record of the embedded release.

    It has no sector models: its detector reads the candidates of a series at the series' own resolution, and what it
    knows of a slice beside them is the height in the chest.

    Parameters
    ----------
    preprocess : PreprocessConfig
        Volumes of any preprocessing will do.

    Raises
    ------
    WeightsError
        If the files of its detector are missing or damaged.
    """
    return ReleaseRecord(
        name=NAME,
        version=VERSION,
        created=datetime(2026, 11, 29, tzinfo=UTC),
        sector_num=1,
        sectors=(),
        backbone=BackbonePin(id="none", kind="none", digest="", input="none", size=preprocess.size),
        preprocess=preprocess,
        preprocess_digest=preprocess.digest,
        labels=LabelConfig(),
        split=SplitConfig(),
        train=TrainConfig(sector_num=1),
        threshold_nodule=0.3,
        snapshot_digest="",
        inputs_digest="",
        metrics={},
        gate=Gate(passed=True, reason="ships with the package", compared_with=""),
        synthetic=False,
        lidcflow_version=version("lidcflow"),
        nodules=embedded_pin(preprocess.slices),
    )
