"""Resolve the settings of a run: those it was given, and for the rest those of its worker.

A deployment holds no configuration: Prefect keeps parameters for ever, and every user of its server can read them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from prefect.context import FlowRunContext
from pydantic import GetJsonSchemaHandler, ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from flows.environment import READERS, WHOLE_CONFIG
from lidcflow.config import Config
from lidcflow.config.base import fault_in
from lidcflow.config.file import CONFIG_FILE, anchored, load_config
from lidcflow.errors import ConfigError


@dataclass(frozen=True)
class ParameterHelp:
    """Text beside a parameter in Prefect's form, which reads no numpy docstrings."""

    text: str

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(core_schema), "description": self.text}


Settings = Annotated[
    Config | None,
    ParameterHelp("Only what is set here changes; everything else is as the worker's own configuration says."),
]


def resolve_config(config: Config | None, environ: Mapping[str, str] | None = None) -> Config:
    """Return the configuration of a run.

    Parameters
    ----------
    config : Config, optional
        As a caller gave it. Of a deployment's run it is what a person typed into the form: only that is taken from it.
    environ : mapping, optional
        By default `os.environ`.

    Raises
    ------
    ConfigError
        If the worker's configuration can't be read, or would put its workspace into a folder that goes with the run.
    """
    if not is_of_a_deployment() and config is not None:
        return config
    own = own_config(os.environ if environ is None else environ)
    if config is None:
        return own
    try:
        return Config.model_validate(_over(own.model_dump(), config.model_dump(exclude_unset=True)))
    except ValidationError as error:
        raise ConfigError(f"parameters of the run over its worker's settings: {fault_in(error, Config)}") from None


def configuration_under(config: Config | None) -> Config:
    """Return the configuration under a run's parameters: the worker's own one, or what a caller gave."""
    return config if config is not None and not is_of_a_deployment() else own_config(os.environ)


def own_config(environ: Mapping[str, str]) -> Config:
    """Return what a process is configured with: by `lidcflow up`, or by file and variables.

    Raises
    ------
    ConfigError
        If it can't be read, or its workspace depends on the folder that the process runs in.
    """
    if whole := environ.get(WHOLE_CONFIG):
        return _whole(whole)
    config = load_config(environ=environ)
    if file := environ.get(CONFIG_FILE):
        return anchored(config, Path(file).absolute().parent)
    if is_of_a_deployment() and not config.workspace.is_absolute():
        raise ConfigError(
            f"workspace {config.workspace}: must be an absolute path in a deployment's run, whose folder is temporary; "
            f"start the worker with {CONFIG_FILE}=/path/to/lidcflow.toml"
        )
    return config


def _whole(text: str) -> Config:
    try:
        return Config.model_validate_json(text)
    except ValidationError:
        raise ConfigError(
            f"variable {WHOLE_CONFIG}: must be the configuration as `lidcflow up` writes it, got something else; "
            "unset it"
        ) from None


def with_inference_cluster(config: Config, environ: Mapping[str, str] | None = None) -> Config:
    """Return a configuration that reads on the cluster which keeps the models loaded, where there is one."""
    address = (os.environ if environ is None else environ).get(READERS)
    if address is None or not is_of_a_deployment():
        return config
    return config.model_copy(update={"cluster": config.cluster.at(address)})


def resolve_source(typed: str | None, configured: str | None, key: str) -> str:
    """Return the source of a run.

    Raises
    ------
    ConfigError
        If there is none.
    """
    if source := typed or configured:
        return source
    raise ConfigError(f"{key}: must name a source, got none; set {key} in lidcflow.toml, or give one to the run")


def is_of_a_deployment() -> bool:
    """Return whether this code runs in a deployment's run, not in a run below one or from a command."""
    context = FlowRunContext.get()
    return bool(context and context.flow_run and context.flow_run.deployment_id)


def _over(base: dict[str, Any], typed: Mapping[str, Any]) -> dict[str, Any]:
    inner = {
        key: _over(base[key], value) if isinstance(value, Mapping) and isinstance(base.get(key), dict) else value
        for key, value in typed.items()
    }
    return {**base, **inner}
