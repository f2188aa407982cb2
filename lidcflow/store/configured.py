"""The file that ties a store to one preprocessing configuration."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError

from lidcflow.config import PreprocessConfig
from lidcflow.errors import StoreError, StoreMismatch
from lidcflow.store.place import GUARD, StorePlace

FORMAT = "lidcflow store, version 1"


def claim_store(place: StorePlace, config: PreprocessConfig) -> None:
    """Make a place the store of a configuration, unless it is a store already.

    Raises
    ------
    StoreError
        If it holds something else.
    """
    place.claim((json.dumps(_content(config), indent=2) + "\n").encode())


def check(place: StorePlace, config: PreprocessConfig) -> None:
    """Make sure that a place is the store of a configuration.

    Raises
    ------
    StoreMismatch
        If it is the store of another one.
    StoreError
        If it is no store.
    """
    digest, settings = _read(place)
    if digest != config.digest:
        raise StoreMismatch(_mismatch(place.name, digest, settings, config))


def configuration_of(place: StorePlace) -> PreprocessConfig:
    """Return the configuration that a store was made with.

    Raises
    ------
    StoreMismatch
        If another version of lidcflow made it.
    StoreError
        If it is no store.
    """
    digest, settings = _read(place)
    try:
        config = PreprocessConfig.model_validate(settings)
    except ValidationError:
        raise _no_guard(place) from None
    if digest != config.digest:
        raise StoreMismatch(_mismatch(place.name, digest, settings, config))
    return config


def _read(place: StorePlace) -> tuple[str, dict[str, Any]]:
    try:
        found = json.loads(place.guard())
        return found["preprocess_digest"], found["preprocess"]
    except FileNotFoundError:
        raise StoreError(f"{place.name}: must be there, got nothing; run lidcflow preprocess first") from None
    except (ValueError, KeyError, TypeError):
        raise _no_guard(place) from None


def _no_guard(place: StorePlace) -> StoreError:
    return StoreError(f"{place.name}: {GUARD} must be JSON of lidcflow; choose another workspace or store")


def _content(config: PreprocessConfig) -> dict[str, Any]:
    return {"format": FORMAT, "preprocess": config.model_dump(mode="json"), "preprocess_digest": config.digest}


def _mismatch(where: str, digest: str, settings: dict[str, Any], config: PreprocessConfig) -> str:
    """Name both configurations, and the settings in which they differ."""
    asked = config.model_dump(mode="json")
    differing = sorted(key for key in {*settings, *asked} if settings.get(key) != asked.get(key))
    written_with = ", ".join(f"{key} = {settings.get(key)}" for key in differing) or "another version of preprocessing"
    asked_for = ", ".join(f"{key} = {asked.get(key)}" for key in differing) or "this version"
    return (
        f"{where}: preprocessing must be what the store was written with ({digest[:12]}: {written_with}), "
        f"got {config.digest[:12]}: {asked_for}; change [preprocess] back or choose another workspace or store"
    )
