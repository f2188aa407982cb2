"""Options that several commands share."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from lidcflow.config import Config
from lidcflow.config.base import fault_in
from lidcflow.config.file import load_config
from lidcflow.config.validators import why_no_folder
from lidcflow.errors import LidcflowError

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help=(
            "Configuration file (TOML); default: the file LIDCFLOW_CONFIG names, else lidcflow.toml in the "
            "current folder."
        ),
    ),
]
Workspace = Annotated[
    Path | None,
    typer.Option(
        "--workspace", "-w", help="Workspace folder, with store, catalog, MLflow and reports; overrides workspace."
    ),
]
Source = Annotated[
    str,
    typer.Argument(
        metavar="SRC",
        help="Where the images are: a folder in any layout, a list file, s3://bucket/prefix, a PACS (pacs:name or the "
        "URL of a DICOMweb service), or idc:name, a collection of the public archive.",
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only count what would be done and estimate what it would cost.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def configured(config_file: Path | None, workspace: Path | None) -> Config:
    """Load the configuration a command runs with.

    Raises
    ------
    typer.BadParameter
        If `workspace`, which an option named, can't be a folder.
    ConfigError
        If the file or a variable is wrong.
    """
    if workspace is not None and (why := why_no_folder(workspace)):
        raise typer.BadParameter(f"must be a folder, or a path that can be one, got {why}", param_hint="--workspace")
    return load_config(config_file, workspace=workspace)


def configured_with(config: Config, option: str, **settings: Any) -> Config:
    """Return the configuration with what an option sets over it.

    Parameters
    ----------
    config : Config
        As `configured` loaded it.
    option : str
        Name of the option, for the sentence about a wrong value.
    **settings
        Keys of sections with two underscores for the dot, as ``drift__days``.

    Raises
    ------
    typer.BadParameter
        If a value is out of range.
    """
    keys = {key.replace("__", "."): value for key, value in settings.items()}
    try:
        return config.with_settings(keys).model_copy(update={"experiments": config.experiments})
    except ValidationError as error:
        raise typer.BadParameter(fault_in(error, Config), param_hint=option) from None


@contextmanager
def wrong_usage(option: str) -> Iterator[None]:
    """Turn an error of the block into one of usage, exit code 2: the value of an option or argument is wrong.

    Parameters
    ----------
    option : str
        Name of the option or argument.
    """
    try:
        yield
    except LidcflowError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None
