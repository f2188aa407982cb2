"""Settings that a person chose for one training over the configuration, and how later trainings keep them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from lidcflow.config import Config
from lidcflow.config.base import fault_in
from lidcflow.errors import ConfigError
from lidcflow.release.record import ReleaseRecord

OF_THE_MACHINE = {"backbone_weights", "backbone_sha256", "engine", "precision"}
"""Settings of [train] that hold on one machine only, or that the backbone's id holds already."""

SECTIONS = ("split", "train")
"""Sections that decide how the stored volumes are learned from; a choice elsewhere is about other volumes."""


def choices_over(used: Config, configured: Config) -> dict[str, Any]:
    """Return the configuration's values of the settings that a training was given otherwise.

    Parameters
    ----------
    used : Config
        What the training works with: options, a snapshot and a run's parameters may have changed it.
    configured : Config
        The configuration itself.

    Returns
    -------
    dict of str to Any
        From the name of a setting, such as ``train.sector_num``, to its configured value as JSON.

    Examples
    --------
    >>> choices_over(with_choices(Config(), {"train.sector_num": 13}), Config())
    {'train.sector_num': 5}
    """
    ours, theirs = dict(_values(used)), dict(_values(configured))
    return {name: value for name, value in theirs.items() if ours[name] != value}


def kept_choices(record: ReleaseRecord, config: Config) -> dict[str, Any]:
    """Return the choices of a release that still hold: the configuration has not been edited there since.

    Parameters
    ----------
    record : ReleaseRecord
        The release.
    config : Config
        In force now.

    Returns
    -------
    dict of str to Any
        From the name of a setting to the release's value.
    """
    now = dict(_values(config))
    chosen = dict(_values(record))
    return {name: chosen[name] for name, said in record.chosen.items() if name in now and now[name] == said}


def with_choices(config: Config, choices: Mapping[str, Any]) -> Config:
    """Return the configuration with choices over it.

    Parameters
    ----------
    config : Config
        The configuration.
    choices : mapping of str to Any
        From the name of a setting to its value.

    Raises
    ------
    ConfigError
        If a setting is unknown, can't be chosen for one training, or has a value that is out of range.
    """
    for name in choices:
        if name.partition(".")[0] not in SECTIONS or "." not in name:
            raise ConfigError(
                f"setting {name}: must be one of [{'] or ['.join(SECTIONS)}] to be chosen for a training, such as "
                "train.sector_num, got another; set it in lidcflow.toml"
            )
    try:
        return config.with_settings(choices).model_copy(update={"experiments": config.experiments})
    except ValidationError as error:
        raise ConfigError(f"choices of a training: {fault_in(error, Config)}") from None


def _values(settings: Config | ReleaseRecord) -> Iterator[tuple[str, Any]]:
    """Yield name and value, as JSON, of each setting that can be chosen."""
    for section in SECTIONS:
        for key, value in getattr(settings, section).model_dump(mode="json").items():
            if key not in OF_THE_MACHINE:
                yield f"{section}.{key}", value
