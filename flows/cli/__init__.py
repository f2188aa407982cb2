"""The `lidcflow` command: each subcommand is a module here, named after it and imported when it runs."""

import logging
import os
import sys
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand, TyperGroup

from flows.cli.arguments import check_arguments, naming_values
from flows.cli.logs import show_logs, show_sentence
from flows.interrupts import keeping_interrupts
from flows.proxies import bypass_proxies, warn_of_ignored
from lidcflow.disk import disk_fault
from lidcflow.errors import LidcflowError

COMMANDS = {
    "init": "Write a commented configuration file to start from: for research on one machine, a hospital, or a "
    "cluster.",
    "phantom": "Make synthetic chest CT with the scan geometry and annotations of LIDC-IDRI.",
    "index": "List every CT series of a source with its eligibility status, and count other series by modality.",
    "preprocess": "Write every usable series of a source to the store; volumes that are already there are reused.",
    "download": "Save the DICOM files of idc:... or s3://...; files that are already there are not downloaded again.",
    "labels": "Write the label of every slice, top of the chest first.",
    "train": "Train one model per sector on the labelled volumes of the store, and release them as one version.",
    "retrain": "Train, evaluate and apply the gate if enough has changed since the newest release, and report why or "
    "why not.",
    "releases": "List the releases, newest first; with RELEASE, show its model card, or copy its files with --export.",
    "promote": "Make a release the champion: inference uses it from now on.",
    "rollback": "Make the previous champion the champion again.",
    "pretrain": "Pretrain the compact backbone on generated CT; the default options reproduce the weights in the "
    "package.",
    "snapshots": "List the snapshots (frozen training sets), newest first; `lidcflow train --snapshot ID` trains from "
    "one.",
    "experiment": "Train the configurations of an experiment and compare them on one page; no release is made.",
    "evaluate": "Measure a release on the held-out patients of its own snapshot, beside baselines, and write a report.",
    "infer": "Recommend slices of every CT series of a source, and write a page for each series.",
    "reports": "Serve the workspace's reports in a browser: an index, each study as a stack of slices, radiologists' "
    "marks.",
    "inbox": "List received series with their processing and delivery status.",
    "drift": "Compare recent studies with the release's training data; drift is reported, and the exit code stays 0.",
    "up": "Start Prefect, MLflow, the reports, a worker, and the scheduled preprocessing, training and inference.",
    "status": "Show the state of the workspace: volumes, catalog, releases, last runs, inbox, drift, disk.",
    "doctor": "Check this machine; the exit code is 1 if something would keep lidcflow from working.",
    "deploy": "Deploy the flows to the Prefect server of PREFECT_API_URL, or of a running `lidcflow up`. Research "
    "use only.",
    "repair": "Remove leftovers of killed processes, and rebuild the catalog from the stores.",
    "clean": "Delete what is older than \\[retention] allows: inference volumes, reports, long logs. Never "
    "MLflow's models.",
    "erase": "Delete the data of a patient, study or series, mark the releases trained on it, and block its return.",
    "demo": "Run everything on synthetic CT: generate it, preprocess, train, make a release, infer two new studies.",
}
"""The subcommands in the order of `lidcflow --help`, with the first sentence of each one's docstring: the listing must
not import them."""

PANELS = {
    "Begin": ("init", "phantom", "doctor", "demo"),
    "Research: data, training, releases": (
        "index",
        "preprocess",
        "download",
        "labels",
        "train",
        "retrain",
        "releases",
        "promote",
        "rollback",
        "pretrain",
        "snapshots",
        "experiment",
        "evaluate",
    ),
    "Reading: new studies and their reports": ("infer", "reports", "inbox"),
    "Operation": ("drift", "up", "status", "deploy", "repair", "clean", "erase"),
}
"""Under which heading `lidcflow --help` lists a subcommand: by who needs it."""


STOPPED = "stopped by Ctrl-C: every file is whole; run the command again for the rest"


class ListedCommand(TyperCommand):
    """A subcommand as `lidcflow --help` lists it; its module is imported when it runs."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Parse the arguments of the subcommand itself."""
        command = load_command(info_name or "")
        check_arguments(command, args)
        return command.make_context(info_name, args, parent, **extra)


class CommandGroup(TyperGroup):
    """The group of all subcommands, as `COMMANDS` lists them."""

    def __init__(self, **settings: Any) -> None:
        listed = {
            name: ListedCommand(name, help=sentence, rich_help_panel=panel_of(name))
            for name, sentence in COMMANDS.items()
        }
        super().__init__(**{**settings, "commands": listed})

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Parse the options that come before any subcommand."""
        with naming_values():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: Any) -> Any:
        """Parse the arguments of the subcommand and run it; a Ctrl-C ends it with exit code 130."""
        try:
            with naming_values():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            show_sentence(STOPPED, logging.WARNING)
            raise


def panel_of(name: str) -> str | None:
    """Return the heading of a subcommand."""
    return next((panel for panel, names in PANELS.items() if name in names), None)


def load_command(name: str) -> Any:
    """Import a subcommand: the function, or the group of further subcommands, that its module is named after."""
    found = getattr(import_module(f"flows.cli.{name}"), name)
    if not isinstance(found, typer.Typer):
        found, function = typer.Typer(add_completion=False), found
        found.command(name)(function)
    return typer.main.get_command(found)


app = typer.Typer(
    name="lidcflow",
    help="Chest CT in, trained sector models and recommended slices out. Research use only.",
    cls=CommandGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"lidcflow {version('lidcflow')}")
        raise typer.Exit


@app.callback()
def lidcflow(
    _: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"] | None,
        typer.Option("--log-level", help="Show log lines from this level on, on standard error."),
    ] = None,
    log_json: Annotated[
        bool,
        typer.Option(
            "--log-json",
            help="Show log lines, progress and errors as JSON, one object a line; from info on, if not set.",
        ),
    ] = False,
) -> None:
    """Take the options that come before any subcommand."""
    if log_level or log_json:
        show_logs(log_level or "info", as_json=log_json)


@keeping_interrupts()
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
    show_sentence(sentence, logging.ERROR, before="[red]error:[/] ")
    sys.exit(1)
