"""Commands that serve the schedules and tell how things stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from flows.cli.options import ConfigFile, Workspace, configured

if TYPE_CHECKING:
    from flows.service.up import Serving
    from lidcflow.config import Config

app = typer.Typer()
console = Console()


@app.command()
def up(config_file: ConfigFile = None, workspace: Workspace = None) -> None:
    """Serve everything: Prefect, MLflow, a worker and the scheduled preprocessing, training and inference.

    Ctrl-C stops it all. Research use only.
    """
    from flows.service.supervisor import ServiceFailed
    from flows.service.up import serve

    config = configured(config_file, workspace)
    try:
        with _States() as states:
            serve(config, states, lambda serving: states.ready(serving, config))
    except ServiceFailed as failure:
        for line in failure.log_lines:
            console.print(f"  {line}", style="dim", markup=False, highlight=False, soft_wrap=True)
        raise


class _States:
    """Lines about the services: a spinner with the seconds while one starts or stops, a plain line after."""

    def __init__(self) -> None:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        self._progress = Progress(*columns, console=console, transient=True)
        self._spinning: dict[str, TaskID] = {}

    def __enter__(self) -> _States:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, service: str, state: str) -> None:
        if (spinning := self._spinning.pop(service, None)) is not None:
            self._progress.remove_task(spinning)
        if state in ("starting", "stopping"):
            self._spinning[service] = self._progress.add_task(f"{service}: {state}", total=None)
        else:
            self._progress.console.print(f"{service}: {state}", highlight=False)

    def ready(self, serving: Serving, config: Config) -> None:
        """Print where to look, what runs when, and what does not."""
        out = self._progress.console
        out.print(_served_table(serving))
        for deployment in serving.deployments:
            if deployment.missing:
                out.print(
                    f"[yellow]{deployment.name} is paused:[/] {deployment.missing} must be set in lidcflow.toml "
                    "for it to run on schedule",
                    highlight=False,
                )
        if config.serve.host not in ("127.0.0.1", "localhost", "::1"):
            out.print(
                f"[yellow]anyone who reaches {config.serve.host} can use both servers:[/] they ask for no password; "
                "MLFLOW_SERVER_ALLOWED_HOSTS names the hosts that MLflow answers to",
                highlight=False,
            )
        out.print("Ctrl-C stops everything. Research use only.", highlight=False)


def _served_table(serving: Serving) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_row("Prefect", serving.addresses.prefect)
    table.add_row("MLflow", serving.addresses.mlflow)
    for deployment in serving.deployments:
        when = ", ".join(str(schedule) for schedule in deployment.schedules)
        table.add_row(deployment.name, f"{when}{', paused' if serving.paused[deployment.name] else ''}")
    return table
