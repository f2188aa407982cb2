"""The notice that every output carries."""

from __future__ import annotations

from typing import Literal

STATEMENT: Literal["Research use only, not for diagnosis."] = "Research use only, not for diagnosis."
