"""Settings of finetuning: from where the backbone learns, on which variations of the slices, and for how long."""

from __future__ import annotations

import hashlib
import json
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

BLOCKS = {"compact": ("stage1", "stage2", "stage3"), "resnet50": ("conv2", "conv3", "conv4", "conv5")}
"""Blocks of each backbone that it can learn from on, first to last; the last one is the default."""

VIEW_SETTINGS = frozenset({"flip", "rotate_degrees", "offset_hu", "gain", "view_seed"})


class FinetuneConfig(BaseModel):
    """How the blocks of a backbone are trained together with the head of a sector."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    from_block: str | None = Field(
        None, description="first block that learns: stage1 to stage3 (compact), conv2 to conv5 (resnet50); none: last"
    )
    views: int = Field(1, ge=0, le=16, description="variations of each training slice to learn from beside itself")
    flip: Literal["none", "left-right"] = Field(
        "none", description="left-right mirrors half of the variations, and with them the patient: the heart is right"
    )
    rotate_degrees: float = Field(6, ge=0, le=45, description="most that a variation is rotated about its centre")
    offset_hu: float = Field(20, ge=0, le=200, description="most that is added to or taken from a variation, in HU")
    gain: float = Field(0.03, ge=0, le=0.5, description="most that a variation's HU are stretched, as a share")
    view_seed: int = Field(0, ge=0, description="seed of the variations; train.seed leaves them alone, to share them")
    learning_rate: float = Field(1e-5, gt=0)
    epochs: int = Field(20, ge=1, le=1000)
    patience: int = Field(4, ge=1, description="epochs without a lower validation loss after which training ends")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="bf16: mixed precision, for GPUs that have it")

    def first_block(self, backbone: Literal["compact", "resnet50"]) -> str:
        """Return the first block that learns.

        Raises
        ------
        ValueError
            If the backbone has no block of the name.
        """
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
