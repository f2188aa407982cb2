"""What all settings have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Immutable settings that refuse unknown keys, infinite numbers and what is not a number."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
