"""The configuration behind a call: a file's, if one is named, else the defaults; never that of the working folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lidcflow.config import Config
from lidcflow.config.file import load_config


def settings_for(config: str | Path | None, workspace: str | Path) -> Config:
    """Return the settings of a file, or the defaults, with a workspace.

    Raises
    ------
    ConfigError
        If the file is missing or wrong, or the workspace can't be a folder.
    """
    if config is None:
        return Config(workspace=Path(workspace).absolute())
    return load_config(Path(config), {}, workspace=Path(workspace).absolute())


@contextmanager
def temporary_settings(config: str | Path | None) -> Iterator[Config]:
    """Yield settings with an empty workspace that is removed when the block ends."""
    with TemporaryDirectory(prefix="lidcflow-") as folder:
        yield settings_for(config, folder)


def with_section(settings: Config, section: str, values: Mapping[str, Any]) -> Config:
    """Return the same settings with other values in one section."""
    return settings.model_copy(update={section: getattr(settings, section).model_copy(update=dict(values))})
