"""Read the configuration: one TOML file, environment variables over it.

Variables are read by pydantic-settings. What stands here beside it is what it lets pass: of 145 odd files and 81 odd
variables that must be refused in a sentence, pydantic-settings 2.16 alone ends in a traceback over 31 and 11, and takes
14 and 39 without a word (unknown names, two variables of one key, folders and pipes in the place of the file).
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource

from lidcflow.config import Config
from lidcflow.config.base import fault_in
from lidcflow.config.validators import (
    TOO_DEEP,
    bounded_text,
    faults_of_values,
    in_a_line,
    why_never_there,
    why_no_catalog,
    why_no_folder,
    why_unreadable,
)
from lidcflow.errors import ConfigError

if TYPE_CHECKING:
    from pydantic_settings import BaseSettings

DEFAULT_FILE = "lidcflow.toml"
ENVIRONMENT_PREFIX = "LIDCFLOW_"
DELIMITER = "__"

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
        sets ``catalog_url`` to what the file holds; a list or a table is JSON. By default `os.environ`.
    **overrides
        Top-level keys, such as ``workspace``; values that are None are left out.

    Raises
    ------
    ConfigError
        If the file is missing or not TOML, a key is unknown, a value is out of range, the file of a value can't be read
        or holds none, the workspace can't be a folder, or its relative path leads to one beside `path` only.

    Examples
    --------
    >>> load_config(environ={"LIDCFLOW_TRAIN__SECTOR_NUM": "13"}).train.sector_num
    13
    >>> load_config(environ={"LIDCFLOW_DELIVERY__TO": '["pacs:main"]'}).delivery.to
    ('pacs:main',)
    """
    environ = os.environ if environ is None else environ
    named = None if overrides.get("workspace") else path
    path = path or (Path(environ[CONFIG_FILE]) if environ.get(CONFIG_FILE) else None)
    where = f"configuration {in_a_line(path or Path(DEFAULT_FILE))}"
    settings = _read_file(path)
    workspace = settings.get("workspace")
    named_by = partial(_source_of, variables=_variables_by_path(environ), file=where)
    try:
        _merge(settings, _from_environment(environ))
        _merge(settings, {key: value for key, value in overrides.items() if value is not None})
        config = _validated(settings, named_by)
    except RecursionError:
        raise ConfigError(f"{where}: {TOO_DEEP}") from None
    _check_places(config, named_by)
    if named is not None and workspace == str(config.workspace):
        _check_workspace_is_not_beside(named, config.workspace, where)
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


def _validated(settings: Mapping[str, Any], named_by: Callable[[str], str]) -> Config:
    for fault in faults_of_values(settings):
        raise ConfigError(f"{named_by(fault.partition(':')[0])}: {fault}")
    try:
        return Config.model_validate(settings)
    except ValidationError as error:
        key = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise ConfigError(f"{named_by(key)}: {fault_in(error, Config)}") from None


def _check_places(config: Config, named_by: Callable[[str], str]) -> None:
    if found := why_no_folder(config.workspace):
        where = named_by("workspace")
        raise ConfigError(f"{where}: workspace must be a folder, or a path that can be one, got {found}; name another")
    for key, place in _named_places(config):
        if found := why_never_there(Path(place)):
            raise ConfigError(f"{named_by(key)}: {key} must name files that there can be, got {found}; name another")
    if config.catalog_url and (found := why_no_catalog(config.catalog_url)):
        where = named_by("catalog_url")
        raise ConfigError(f"{where}: catalog_url must name a file, or a path that can be one, got {found}; correct it")


def _check_workspace_is_not_beside(file: Path, workspace: Path, where: str) -> None:
    """Raise if a relative workspace lies beside the file and would be made anew in the current folder."""
    if workspace.is_absolute() or workspace.exists() or not (file.parent / workspace).is_dir():
        return
    raise ConfigError(
        f"{where}: workspace must be in the current folder if it is a relative path, got one beside the file; run the "
        f"command in {in_a_line(file.parent)}, or make the path absolute"
    )


def _named_places(config: Config) -> Iterator[tuple[str, str | Path]]:
    """Yield the keys and values that may name files or folders outside the workspace; URLs and pacs: are no harm."""
    yield "archive", config.archive or ""
    yield "infer.documents", config.infer.documents or ""
    yield "train.backbone_weights", config.train.backbone_weights or ""
    for key, places in (
        ("inbox", config.inboxes),
        ("delivery.to", config.delivery.to),
        ("labels.source", config.labels.sources),
    ):
        yield from ((key, place) for place in places)


def _read_file(path: Path | None) -> dict[str, Any]:
    if path is None and not os.path.lexists(DEFAULT_FILE):
        return {}
    file = path or Path(DEFAULT_FILE)
    # Not pydantic-settings' TomlConfigSettingsSource: it passes over a missing file, a folder, a pipe or a loop of
    # links as if none were named, and lets the errors of TOML and UTF-8 through, without the file's name.
    text = _text_of(file)
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ConfigError(f"configuration {in_a_line(file)}: {TOO_DEEP}") from None
    except ValueError as error:  # TOMLDecodeError is one, and so is an integer of thousands of digits
        raise ConfigError(f"configuration {in_a_line(file)}: must be TOML, got {in_a_line(error)}") from None


def _text_of(file: Path) -> str:
    name = in_a_line(file)
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


class _Variables(EnvSettingsSource):
    """Settings of variables, whose names are keys as ``train__sector_num`` by now."""

    def __init__(self, values: Mapping[str, str]) -> None:
        # Config is no BaseSettings, which the source would do without: one that a worker makes from its parameters must
        # not change with the variables of that worker.
        super().__init__(cast("type[BaseSettings]", Config), case_sensitive=True, env_nested_delimiter=DELIMITER)
        self.env_vars = values

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:  # noqa: ARG002 - its signature
        """Return the list or table that a value is as JSON; other text stays, for the validation to take or refuse.

        pydantic-settings makes a number of the folder ``123`` where one folder or several may be named, and a traceback
        without the variable's name of JSON that is none.
        """
        try:
            decoded = json.loads(value, object_pairs_hook=_without_repetition)
        except ValueError:
            return value
        return decoded if isinstance(decoded, list | dict) else value


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a table of JSON.

    Raises
    ------
    ValueError
        If a key is set twice, which TOML refuses as well.
    """
    table = dict(pairs)
    if len(table) < len(pairs):
        raise ValueError("a key is set twice")
    return table


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings of the environment; unknown names stay, so that the validation refuses them."""
    values = dict(_without_contradiction(_values(environ)))
    names = {key.split(DELIMITER)[0] for key in values}
    return {**_Variables(values)(), **dict.fromkeys(names - Config.model_fields.keys())}


def _without_contradiction(values: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield keys and values; of two variables that contradict each other, neither is taken."""
    named: dict[tuple[str, ...], str] = {}
    for name, value in sorted(values, key=lambda pair: pair[0].lower()):
        key = name.removeprefix(ENVIRONMENT_PREFIX).lower()
        path = tuple(key.split(DELIMITER))
        if other := next((named[path[:end]] for end in range(1, len(path) + 1) if path[:end] in named), None):
            raise ConfigError(
                f"variable {in_a_line(name)}: must not set what {in_a_line(other)} sets as well, as a whole or by "
                "another name; unset one of them"
            )
        named[path] = name
        yield key, value


def _source_of(key: str, variables: Mapping[str, str], file: str) -> str:
    """Return what set a key: the variable of the key or of a section around it, else the file."""
    path = key.split(".")
    keys = [".".join(path[:end]) for end in range(len(path), 0, -1)]
    if path[0] not in Config.model_fields:  # an unknown section is wrong for whatever is set in it
        keys += [name for name in variables if name.startswith(f"{path[0]}.")]
    return next((f"variable {in_a_line(variables[name])}" for name in keys if name in variables), file)


def _variables_by_path(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the names of the variables that are settings, by the keys that they set, as ``train.epochs``."""
    prefix, end = ENVIRONMENT_PREFIX, FILE_SUFFIX
    names = [name for name in environ if name.startswith(prefix) and name not in RESERVED_VARIABLES]
    return {name.removeprefix(prefix).removesuffix(end).lower().replace(DELIMITER, "."): name for name in names}


def _values(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the variables that are settings with their values, those from files as if they were set themselves."""
    for name, value in environ.items():
        if not name.startswith(ENVIRONMENT_PREFIX) or name in RESERVED_VARIABLES:
            continue
        setting = name.removesuffix(FILE_SUFFIX)
        if setting == name:
            yield name, value
        elif setting not in RESERVED_VARIABLES:
            yield setting, _read_value(name, Path(value), environ)


def _read_value(name: str, file: Path, environ: Mapping[str, str]) -> str:
    # Not pydantic-settings' SecretsSettingsSource: it reads one folder whose files are named after the settings, where
    # each of these variables names a file.
    setting = name.removesuffix(FILE_SUFFIX)
    if setting in environ:
        raise ConfigError(
            f"variable {in_a_line(name)}: must stand alone, got {in_a_line(setting)} as well; unset one of them"
        )
    try:
        value = bounded_text(file).strip()
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"variable {in_a_line(name)}: {in_a_line(file)} must be a readable file, got {why_unreadable(error)}; "
            "check the path"
        ) from None
    if not value:
        raise ConfigError(
            f"variable {in_a_line(name)}: {in_a_line(file)} must hold the value, got an empty file; write it there"
        )
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
