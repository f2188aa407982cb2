"""The file that ties a store to one preprocessing configuration."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any

from lidcflow.config import PreprocessConfig
from lidcflow.errors import StoreError, StoreMismatch

GUARD_FILE = "lidcflow.json"
FORMAT = "lidcflow store, version 1"


def claim(root: Path, config: PreprocessConfig) -> None:
    """Make a folder the store of a configuration, unless it is a store already.

    Raises
    ------
    StoreError
        If the folder holds something else.
    """
    guard = root / GUARD_FILE
    if guard.exists():
        return
    root.mkdir(parents=True, exist_ok=True)
    if any(not entry.name.startswith(".") for entry in root.iterdir()) and not guard.exists():
        raise StoreError(
            f"store {root}: the folder must be empty or a store of lidcflow, got other files; choose another workspace"
        )
    draft = root / f".{GUARD_FILE}.{secrets.token_hex(4)}"
    draft.write_text(json.dumps(_content(config), indent=2) + "\n", encoding="utf-8")
    try:
        os.link(draft, guard)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def check(root: Path, config: PreprocessConfig) -> None:
    """Make sure that a folder is the store of a configuration.

    Raises
    ------
    StoreMismatch
        If it is the store of another one.
    StoreError
        If it is no store.
    """
    try:
        found = json.loads((root / GUARD_FILE).read_text(encoding="utf-8"))
        digest, settings = found["preprocess_digest"], found["preprocess"]
    except FileNotFoundError:
        raise StoreError(f"store {root}: must be there, got nothing; run lidcflow preprocess first") from None
    except (ValueError, KeyError, TypeError):
        raise StoreError(f"store {root}: {GUARD_FILE} must be JSON of lidcflow; choose another workspace") from None
    if digest != config.digest:
        raise StoreMismatch(_mismatch(root, digest, settings, config))


def _content(config: PreprocessConfig) -> dict[str, Any]:
    return {"format": FORMAT, "preprocess": config.model_dump(mode="json"), "preprocess_digest": config.digest}


def _mismatch(root: Path, digest: str, settings: dict[str, Any], config: PreprocessConfig) -> str:
    """Name both configurations, and the settings in which they differ."""
    asked = config.model_dump(mode="json")
    differing = sorted(key for key in {*settings, *asked} if settings.get(key) != asked.get(key))
    written_with = ", ".join(f"{key} = {settings.get(key)}" for key in differing) or "another version of preprocessing"
    asked_for = ", ".join(f"{key} = {asked.get(key)}" for key in differing) or "this version"
    return (
        f"store {root}: preprocessing must be what the store was written with ({digest[:12]}: {written_with}), "
        f"got {config.digest[:12]}: {asked_for}; change [preprocess] back or choose another workspace"
    )
