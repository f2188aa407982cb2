"""The `lidcflow` command: each module here holds the subcommands of one part."""

import sys
from importlib import import_module

import typer
from rich.console import Console
from rich.markup import escape

from lidcflow.errors import LidcflowError

PARTS = (
    "archive",
    "sources",
    "labelling",
    "learning",
    "snapshots",
    "experiments",
    "evaluating",
    "reading",
    "reports",
    "inbox",
    "watching",
    "service",
    "deploying",
    "repair",
    "cleaning",
    "erasing",
    "demo",
)

app = typer.Typer(
    name="lidcflow",
    help="Chest CT in, trained sector models and recommended slices out. Research use only.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for part in PARTS:
    app.add_typer(import_module(f"flows.cli.{part}").app)


def main() -> None:
    """Run the command; data that is wrong ends in one sentence and exit code 1, never in a traceback."""
    try:
        app()
    except LidcflowError as error:
        Console(stderr=True).print(f"[red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(1)
