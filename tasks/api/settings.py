"""The configuration behind a call: a file's, if one is named, else the defaults; never that of the working folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lidcflow.config import Config
from lidcflow.config.file import load_config
from lidcflow.errors import ConfigError


def settings_for(config: str | Path | None, workspace: str | Path) -> Config:
    """Return the settings of a file, or the defaults, with a workspace.

    Raises
    ------
    ConfigError
        If the file is missing or wrong, or the workspace can't be a folder.
    """
    folder = named_folder(workspace, "workspace").absolute()
    return Config(workspace=folder) if config is None else load_config(Path(config), {}, workspace=folder)


def named_folder(folder: str | Path, argument: str) -> Path:
    """Return the path of a folder that an argument names; an empty text, which would be the current one, is refused.

    Raises
    ------
    ConfigError
        If it is empty.
    """
    if not str(folder).strip():
        raise ConfigError(f"{argument}: must name a folder, got {folder!r}; name one, the current one is '.'")
    return Path(folder)


@contextmanager
def temporary_settings(config: str | Path | None) -> Iterator[Config]:
    """Yield settings with an empty workspace that is removed when the block ends."""
    with TemporaryDirectory(prefix="lidcflow-") as folder:
        yield settings_for(config, folder)


def with_section(settings: Config, section: str, values: Mapping[str, Any]) -> Config:
    """Return the same settings with other values in one section."""
    return settings.model_copy(update={section: getattr(settings, section).model_copy(update=dict(values))})
