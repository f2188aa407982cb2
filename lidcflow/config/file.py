"""Read the configuration: one TOML file, environment variables over it."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lidcflow.config import Config
from lidcflow.config.base import fault_in
from lidcflow.config.checks import (
    bounded_text,
    unusable_texts,
    why_no_catalog,
    why_no_folder,
    why_unreadable,
    without_passwords,
)
from lidcflow.errors import ConfigError

DEFAULT_FILE = "lidcflow.toml"
ENVIRONMENT_PREFIX = "LIDCFLOW_"

TOO_DEEP = "arrays and tables must be nested a few levels deep, got hundreds; correct the file or the variables"

CONFIG_FILE = "LIDCFLOW_CONFIG"
"""Names the configuration file of processes that are started without options, as workers."""


def load_config(path: Path | None = None, environ: Mapping[str, str] | None = None, **overrides: Any) -> Config:
    """Read the configuration: defaults, then the file, then the environment, then `overrides`.

    Parameters
    ----------
    path : Path, optional
        TOML file; by default the one that the variable ``LIDCFLOW_CONFIG`` names, or ``lidcflow.toml`` of the working
        folder, if there is one.
    environ : mapping, optional
        ``LIDCFLOW_TRAIN__SECTOR_NUM=13`` sets ``train.sector_num``, ``LIDCFLOW_CATALOG_URL_FILE=/run/secrets/url``
        sets ``catalog_url`` to what the file holds; by default `os.environ`.
    **overrides
        Top-level keys, such as ``workspace``; values that are None are left out.

    Raises
    ------
    ConfigError
        If the file is missing or not TOML, a key is unknown, a value is out of range, the file of a value can't be read
        or holds none, or the workspace can't be a folder.

    Examples
    --------
    >>> load_config(environ={"LIDCFLOW_TRAIN__SECTOR_NUM": "13"}).train.sector_num
    13
    """
    environ = os.environ if environ is None else environ
    path = path or (Path(environ[CONFIG_FILE]) if environ.get(CONFIG_FILE) else None)
    where = f"configuration {_in_short(path or Path(DEFAULT_FILE))}"
    settings = _read_file(path)
    try:
        _merge(settings, _from_environment(environ))
        _merge(settings, {key: value for key, value in overrides.items() if value is not None})
        config = _validated(settings, where)
    except RecursionError:
        raise ConfigError(f"{where}: {TOO_DEEP}") from None
    _check_places(config, where)
    return config


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


def _validated(settings: Mapping[str, Any], where: str) -> Config:
    for key in unusable_texts(settings):
        raise ConfigError(f"{where}: {key}: must be UTF-8 text without NUL, got something else; write the value again")
    try:
        return Config.model_validate(settings)
    except ValidationError as error:
        raise ConfigError(f"{where}: {fault_in(error, Config)}") from None


def _check_places(config: Config, where: str) -> None:
    if found := why_no_folder(config.workspace):
        raise ConfigError(f"{where}: workspace must be a folder, or a path that can be one, got {found}; name another")
    if config.catalog_url and (found := why_no_catalog(config.catalog_url)):
        raise ConfigError(f"{where}: catalog_url must name a file, or a path that can be one, got {found}; correct it")


def _read_file(path: Path | None) -> dict[str, Any]:
    if path is None and not os.path.lexists(DEFAULT_FILE):
        return {}
    file = path or Path(DEFAULT_FILE)
    text = _text_of(file)
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ConfigError(f"configuration {file}: {TOO_DEEP}") from None
    except ValueError as error:  # TOMLDecodeError is one, and so is an integer of thousands of digits
        raise ConfigError(f"configuration {file}: must be TOML, got {without_passwords(str(error))}") from None


def _text_of(file: Path) -> str:
    name = _in_short(file)
    try:
        return bounded_text(file)
    except FileNotFoundError:
        raise ConfigError(
            f"configuration {name}: the file must exist; check the path after --config or in {CONFIG_FILE}"
        ) from None
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"configuration {name}: must be a readable file of TOML, got {why_unreadable(error)}; "
            f"check the path after --config or in {CONFIG_FILE}"
        ) from None


def _in_short(file: Path) -> str:
    """Return a path, or both ends of one that nobody reads to the end."""
    text = str(file)
    return text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS // 2]}...{text[-MOST_LETTERS // 2 :]}"


MOST_LETTERS = 200


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings of the environment; of two variables that contradict each other, neither is taken."""
    settings: dict[str, Any] = {}
    named: dict[tuple[str, ...], str] = {}
    for name, value in sorted(_values(environ), key=lambda pair: pair[0].lower()):
        path = tuple(name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__"))
        if other := next((named[path[:end]] for end in range(1, len(path) + 1) if path[:end] in named), None):
            raise ConfigError(
                f"variable {name}: must not set what {other} sets as well, as a whole or by another name; "
                "unset one of them"
            )
        named[path] = name
        table = settings
        for section in path[:-1]:
            table = table.setdefault(section, {})
        table[path[-1]] = value
    return settings


def _values(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Give the variables that are settings with their values, those from files as if they were set themselves."""
    for name, value in environ.items():
        if not name.startswith(ENVIRONMENT_PREFIX) or name in RESERVED_VARIABLES:
            continue
        setting = name.removesuffix(FILE_SUFFIX)
        if setting == name:
            yield name, value
        elif setting not in RESERVED_VARIABLES:
            yield setting, _read_value(name, Path(value), environ)


def _read_value(name: str, file: Path, environ: Mapping[str, str]) -> str:
    setting = name.removesuffix(FILE_SUFFIX)
    if setting in environ:
        raise ConfigError(f"variable {name}: must stand alone, got {setting} as well; unset one of them")
    try:
        value = bounded_text(file).strip()
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"variable {name}: {_in_short(file)} must be a readable file, got {why_unreadable(error)}; check the path"
        ) from None
    if not value:
        raise ConfigError(f"variable {name}: {file} must hold the value, got an empty file; write it there")
    return value


FILE_SUFFIX = "_FILE"
"""Ends the name of a variable that names the file of a value: no setting's own name ends so."""

RESERVED_VARIABLES = frozenset(
    {
        CONFIG_FILE,
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
