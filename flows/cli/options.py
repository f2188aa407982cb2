"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from lidcflow.config import Config
from lidcflow.config.file import load_config

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
    """Load the configuration a command runs with."""
    return load_config(config_file, workspace=workspace)
