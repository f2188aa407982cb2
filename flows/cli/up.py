"""The command that serves everything, and how it shows itself on a terminal."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from flows.cli import lazy
from flows.cli.options import ConfigFile, Workspace, configured
from flows.cli.output import NOTICE, console, print_facts
from flows.proxies import LOOPBACK
from flows.service.password import CLIENT_VARIABLE, password_file, user_password
from flows.service.supervisor import ServiceFailed

if TYPE_CHECKING:
    from flows.service.up import Serving
    from lidcflow.config import Config

_AS_IT_IS: dict[str, Any] = {"markup": False, "highlight": False, "soft_wrap": True}


def up(config_file: ConfigFile = None, workspace: Workspace = None) -> None:
    """Start Prefect, MLflow, the reports, a worker, and the scheduled preprocessing, training and inference.

    Ctrl-C stops it all. Research use only.
    """
    config = configured(config_file, workspace)
    try:
        with ServiceLines() as lines:
            lazy.up.run_services(config, lines, lambda serving: lines.ready(serving, config))
    except ServiceFailed as failure:
        for line in failure.log_lines:
            console().print(f"  {line}", style="dim", markup=False, soft_wrap=True)
        raise


class ServiceLines:
    """Lines about the services: a spinner with the seconds while one starts or stops, a plain line after."""

    def __init__(self) -> None:
        self._out = console()
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        self._progress = Progress(*columns, console=self._out, transient=True, disable=not self._out.is_terminal)
        self._spinning: dict[str, TaskID] = {}

    def __enter__(self) -> ServiceLines:
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, service: str, state: str) -> None:
        if (spinning := self._spinning.pop(service, None)) is not None:
            self._progress.remove_task(spinning)
        if state in ("starting", "stopping"):
            self._spinning[service] = self._progress.add_task(f"{service}: {state}", total=None)
        else:
            self._out.print(f"{service}: {state}")
        self._spin()

    def _spin(self) -> None:
        """Draw only while there is something to wait for: servers run for months."""
        if self._spinning:
            self._progress.start()
        else:
            self._progress.stop()

    def ready(self, serving: Serving, config: Config) -> None:
        """Print where to look, what runs when, and what does not."""
        print_facts(_served_facts(serving))
        for deployment in serving.deployments:
            if deployment.missing:
                self._out.print(
                    f"[yellow]{deployment.name} is paused:[/] {deployment.missing} must be set in lidcflow.toml "
                    "for it to run on schedule",
                )
        if serving.doubt:
            self._out.print(f"[yellow]look at this:[/] {escape(serving.doubt)}", soft_wrap=True)
        if config.serve.host not in LOOPBACK:
            self._out.print(
                "[yellow]anyone who reaches this machine can use MLflow and the reports:[/] they ask for no password; "
                "the servers answer to IP addresses, the names of this machine, and those of serve.hosts",
            )
        self._print_access(serving, config.prefect_home)
        self._out.print(f"Ctrl-C stops everything. {NOTICE}")

    def _print_access(self, serving: Serving, prefect_home: Path) -> None:
        """Print how to get into Prefect, without the password itself: a terminal is often a log."""
        if user_password():
            self._out.print(f"Prefect asks for the password that {CLIENT_VARIABLE} names.")
            return
        file = shlex.quote(str(password_file(prefect_home)))
        shell = f'export PREFECT_API_URL={serving.addresses.prefect_api} {CLIENT_VARIABLE}="$(cat {file})"'
        self._out.print(
            "Prefect's page asks for a password: all of the line that this prints",
            f"  cat {file}",
            sep="\n",
            **_AS_IT_IS,
        )
        self._out.print("For the command `prefect` in a shell:", f"  {shell}", sep="\n", **_AS_IT_IS)


def _served_facts(serving: Serving) -> dict[str, str]:
    """Return the pages, and when each deployment runs."""
    runs = {
        one.name: f"{', '.join(map(str, one.schedules))}{', paused' if serving.paused[one.name] else ''}"
        for one in serving.deployments
    }
    return serving.pages | runs
