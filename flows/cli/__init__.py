"""The `lidcflow` command: each module here holds the subcommands of one part."""

import os
import sys
from importlib import import_module

import typer
from rich.console import Console
from rich.markup import escape

from flows.proxies import bypass_proxies, warn_of_ignored
from lidcflow.disk import disk_fault
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
    """Run the command.

    Data that is wrong, or a disk that is full or read-only, ends in one sentence and exit code 1, never in a traceback.
    """
    warn_of_ignored(bypass_proxies(os.environ))
    try:
        app()
    except LidcflowError as error:
        _end(str(error))
    except OSError as error:
        if (sentence := disk_fault(error)) is None:
            raise
        _end(sentence)
    except Exception as error:
        if not type(error).__module__.startswith("mlflow."):
            raise
        _end(f"MLflow: must do what it is asked, got {_first_line(error)}; look at it on its page, or check [tracking]")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def _end(sentence: str) -> None:
    Console(stderr=True).print(f"[red]error:[/] {escape(sentence)}", highlight=False, soft_wrap=True)
    sys.exit(1)
