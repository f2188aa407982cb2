"""The digest of a training's inputs, by which the same inputs find the release they produced."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from lidcflow.config import LabelConfig, NodulesConfig, TrainConfig
from lidcflow.config.science import portable
from lidcflow.nodules.finding_digests import finding_digests
from lidcflow.release.pins import DetectorPin

TRAINING_VERSION = 1
"""Raised when the same inputs would train another release."""


def inputs_digest(
    snapshot_digest: str,
    backbone_id: str,
    preprocess_digest: str,
    train: TrainConfig,
    labels: LabelConfig,
    nodules: Mapping[str, Any] | None = None,
) -> str:
    """Hash what decides a training, so that the same inputs find the release they made.

    Parameters
    ----------
    snapshot_digest, backbone_id, preprocess_digest : str
        What names slices, backbone and volumes.
    train : TrainConfig
        How sector models are trained.
    labels : LabelConfig
        How slices are labelled.
    nodules : mapping, optional
        What decides the findings, from `deciding_nodules`; None for a release without, whose digest is that of the
        versions before there were findings.

    Returns
    -------
    str
        64 hexadecimal digits; where the backbone's weights lie does not matter, `backbone_id` names them and what
        computes with them, nor where readings do: the snapshot holds the labels.
    """
    settings = {
        "version": TRAINING_VERSION,
        "snapshot": snapshot_digest,
        "backbone": backbone_id,
        "preprocess": preprocess_digest,
        "train": _deciding(train),
        "labels": labels.model_dump(mode="json", exclude={"source"} | ({"marks"} if not labels.marks else set())),
        **({"nodules": dict(nodules)} if nodules else {}),
    }
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def deciding_nodules(
    candidates_digest: str, detector: DetectorPin | None, settings: NodulesConfig
) -> dict[str, Any] | None:
    """Return what decides the findings of a release; None where nothing reads candidates."""
    if detector is None:
        return None
    pinned = detector.model_dump(mode="json", include={"detector", "sha256", "threshold"})
    return {
        "candidates": candidates_digest,
        "detector": pinned,
        "settings": settings.model_dump(mode="json"),
        "systems": finding_digests(),
    }


def _deciding(train: TrainConfig) -> dict[str, Any]:
    """Return what of the settings decides a training; `backbone_id` names the block that it finetunes from."""
    settings = portable(train).model_dump(mode="json", exclude={"engine", "precision", "mode", "finetune"})
    if train.folds is None:  # as before there were folds: releases of that time are found
        del settings["folds"]
    if train.images is None:
        del settings["images"]
    if train.mode == "finetune":
        settings["finetune"] = train.finetune.model_dump(mode="json", exclude={"from_block"})
    return settings


def training_settings(train: TrainConfig) -> dict[str, Any]:
    """Return the settings of a training by name, for a table of them."""
    settings = train.model_dump(mode="json", exclude={"backbone_weights", "backbone_sha256", "finetune", "images"})
    if train.images:
        settings |= {f"images_{name}": value for name, value in train.images.model_dump(mode="json").items()}
    if train.mode == "finetune":
        of_finetuning = {**train.finetune.model_dump(mode="json"), "from_block": train.first_block()}
        settings |= {f"finetune_{name}": value for name, value in of_finetuning.items()}
    return settings
