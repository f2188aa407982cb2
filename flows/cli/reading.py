"""Commands of the reading part: which slices to look at."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.options import AsJson, ConfigFile, Source, Workspace
from flows.cli.output import print_json
from flows.cli.session import flow_session
from flows.cli.tables import print_readings
from lidcflow.config import Config
from lidcflow.config.file import load_config
from lidcflow.source.places import checked_source

SOME_REFUSED = 3
"""Exit code: done, with series that could not be evaluated, or whose documents could not be written."""

app = typer.Typer()
Release = Annotated[str | None, typer.Option("--release", help="Alias or version; infer.release, by default champion.")]
Out = Annotated[Path | None, typer.Option("--out", help="Folder of the reports; by default the workspace's.")]
Documents = Annotated[
    Path | None,
    typer.Option(
        "--documents",
        help="Folder of DICOM documents for a PACS: key objects and a structured report; they name the patient.",
    ),
]


@app.command()
def infer(
    source: Source,
    release: Release = None,
    out: Out = None,
    documents: Documents = None,
    config_file: ConfigFile = None,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Recommend slices of every series of a source, each with a page to open."""
    given = {key: value for key, value in {"release": release, "documents": documents}.items() if value}
    config = load_config(config_file, workspace=workspace, infer=given or None)
    checked_source(source, config.access)
    check_release(config)
    with flow_session(config):
        from flows.infer import infer as run

        report = run(source, config, out)
    if as_json:
        print_json(report)
    else:
        print_readings(report)
    if report.refused or report.undocumented:
        raise typer.Exit(SOME_REFUSED)


def check_release(config: Config) -> None:
    """Tell of a missing release before anything starts or is written."""
    from tasks.tracking.connection import Tracking
    from tasks.tracking.registry import load_release

    load_release(Tracking.of(config), config.infer.release)
