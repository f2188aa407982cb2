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
from lidcflow.config.validators import in_a_line, why_no_folder
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


def output_file(file: Path | None) -> Path | None:
    """Return the file that an option names for output, before any work is done for it.

    Raises
    ------
    typer.BadParameter
        If no file can be written there.
    """
    if file is None:
        return None
    if file.is_dir():
        raise typer.BadParameter(f"must be a file, got the folder {in_a_line(file)}; add the name of a file")
    if not file.absolute().parent.is_dir():
        parent = in_a_line(file.absolute().parent)
        raise typer.BadParameter(f"must be a file in a folder that exists, got one in {parent}; make the folder first")
    return file


def output_folder(folder: Path | None) -> Path | None:
    """Return the folder that an option names for output; it is made where it is lacking.

    Raises
    ------
    typer.BadParameter
        If it can't be a folder.
    """
    if folder is not None and (why := why_no_folder(folder)):
        raise typer.BadParameter(f"must be a folder, or a path that can be one, got {why}; name another")
    return folder


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
