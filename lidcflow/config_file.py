"""Read the configuration: one TOML file, environment variables over it."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lidcflow.config import Config
from lidcflow.config_fault import fault_in
from lidcflow.errors import ConfigError

DEFAULT_FILE = "lidcflow.toml"
ENVIRONMENT_PREFIX = "LIDCFLOW_"
FILE_VARIABLE = "LIDCFLOW_CONFIG"
"""Variable that names the file; a command's own option goes before it."""


def load_config(path: Path | None = None, environ: Mapping[str, str] | None = None, **overrides: Any) -> Config:
    """Read the configuration: defaults, then the file, then the environment, then `overrides`.

    Parameters
    ----------
    path : Path, optional
        TOML file; by default the one that ``LIDCFLOW_CONFIG`` names, else ``lidcflow.toml`` of the working folder, if
        there is one.
    environ : mapping, optional
        ``LIDCFLOW_TRAIN__SECTOR_NUM=13`` sets ``train.sector_num``; by default `os.environ`.
    **overrides
        Top-level keys, such as ``workspace``; values that are None are left out.

    Raises
    ------
    ConfigError
        If the file is missing or not TOML, a key is unknown, or a value is out of range.

    Examples
    --------
    >>> load_config(environ={"LIDCFLOW_TRAIN__SECTOR_NUM": "13"}).train.sector_num
    13
    """
    variables = os.environ if environ is None else environ
    path = path or (Path(variables[FILE_VARIABLE]) if variables.get(FILE_VARIABLE) else None)
    settings = _read_file(path)
    _merge(settings, _from_environment(variables))
    _merge(settings, {key: value for key, value in overrides.items() if value is not None})
    try:
        return Config.model_validate(settings)
    except ValidationError as error:
        raise ConfigError(_sentence(error, path)) from None


def anchored(config: Config, folder: Path | None = None) -> Config:
    """Return a configuration whose local paths are absolute, relative ones being taken from a folder."""
    base = (folder or Path.cwd()).absolute()
    weights, tls = config.train.backbone_weights, config.cluster.tls
    files = tls and tls.model_copy(update={name: base / getattr(tls, name) for name in ("ca", "certificate", "key")})
    return config.model_copy(
        update={
            "workspace": base / config.workspace,
            "archive": _anchored_source(config.archive, base) if config.archive else None,
            "inbox": tuple(_anchored_source(source, base) for source in config.inboxes) or None,
            "train": config.train.model_copy(update={"backbone_weights": base / weights if weights else None}),
            "cluster": config.cluster.model_copy(update={"tls": files}),
        }
    )


def _anchored_source(source: str, base: Path) -> str:
    """Make a folder absolute; URLs and names such as ``idc:lidc_idri`` stay."""
    return source if re.match(r"[a-z][a-z0-9+.-]*:", source) else str(base / source)


def _read_file(path: Path | None) -> dict[str, Any]:
    if path is None and not Path(DEFAULT_FILE).is_file():
        return {}
    file = path or Path(DEFAULT_FILE)
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"configuration {file}: the file must exist; check the path after --config or in LIDCFLOW_CONFIG"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"configuration {file}: must be TOML, got {error}") from None


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for name, value in environ.items():
        if not name.startswith(ENVIRONMENT_PREFIX) or name in RESERVED_VARIABLES:
            continue
        *sections, key = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
        table = settings
        for section in sections:
            table = table.setdefault(section, {})
        table[key] = value
    return settings


RESERVED_VARIABLES = frozenset(
    {
        FILE_VARIABLE,
        "LIDCFLOW_PATIENT_KEY_SECRET",
        "LIDCFLOW_READERS",
        "LIDCFLOW_REAL_DATA",
        "LIDCFLOW_WHOLE_CONFIG",
    }
)
"""Variables with the prefix that are not settings."""


def _merge(base: dict[str, Any], over: Mapping[str, Any]) -> None:
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(base.get(key), dict):
            _merge(base[key], value)
        else:
            base[key] = value


def _sentence(error: ValidationError, path: Path | None) -> str:
    return f"configuration {path or DEFAULT_FILE}: {fault_in(error, Config)}"
