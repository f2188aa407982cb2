"""How the service commands show themselves on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from flows.cli.output import NOTICE, console
from flows.service.servers import LOOPBACK

if TYPE_CHECKING:
    from datetime import datetime

    from flows.service.doctor import Finding
    from flows.service.health import LastDrift, LastReading
    from flows.service.lock import Served
    from flows.service.status import InboxStatus, ReleasesStatus, RunStatus, Status, StoreStatus
    from flows.service.up import Serving
    from lidcflow.config import Config


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
        self._out.print(_served_table(serving))
        for deployment in serving.deployments:
            if deployment.missing:
                self._out.print(
                    f"[yellow]{deployment.name} is paused:[/] {deployment.missing} must be set in lidcflow.toml "
                    "for it to run on schedule",
                )
        if config.serve.host not in LOOPBACK:
            self._out.print(
                "[yellow]anyone who reaches this machine can use all three servers:[/] they ask for no password; "
                "MLFLOW_SERVER_ALLOWED_HOSTS names the hosts that MLflow answers to",
            )
        self._out.print(f"Ctrl-C stops everything. {NOTICE}")


def _served_table(serving: Serving) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_row("Prefect", serving.addresses.prefect)
    table.add_row("MLflow", serving.addresses.mlflow)
    table.add_row("Reports", serving.addresses.reports)
    for deployment in serving.deployments:
        when = ", ".join(str(schedule) for schedule in deployment.schedules)
        table.add_row(deployment.name, f"{when}{', paused' if serving.paused[deployment.name] else ''}")
    return table


def print_status(found: Status) -> None:
    """Print a table of facts, one of runs, and what is wrong."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, text in _status_rows(found).items():
        table.add_row(name, text)
    console().print(table)
    if found.runs:
        console().print(_runs_table(found.runs))
    for problem in found.problems:
        console().print(f"[yellow]problem:[/] {escape(problem)}", soft_wrap=True)
    console().print(found.notice, style="dim")


def _status_rows(found: Status) -> dict[str, str]:
    service, store, releases = found.service, found.store, found.releases
    return {
        "workspace": f"{found.workspace}{'' if found.exists else ' (not made yet)'}",
        "store": _store(store) if store else "none yet",
        "catalog": ", ".join(f"{count} {state}" for state, count in (found.catalog or {}).items()) or "empty",
        "inbox": _inbox(found.inbox) if found.inbox else "nothing has come",
        "releases": f"{releases.releases}, {_champion(releases)}" if releases else "none yet",
        "retraining": f"{_moment(last.checked)}: {escape(last.why)}" if (last := found.retraining) else "never checked",
        "erased": f"{found.erasures.done} patients, studies or series" if found.erasures else "nothing",
        "last read": _reading(found.reading) if found.reading else "none yet",
        "drift": _drift(found.drift) if found.drift else "not checked yet",
        "lidcflow up": _service(service) if service else "not running; it keeps the schedules and shows the runs",
        "disk": f"{found.disk_free_bytes / 2**30:.1f} GiB free",
        "versions": ", ".join(f"{name} {number}" for name, number in found.versions.items()),
    }


def _store(store: StoreStatus) -> str:
    size = "" if store.size_bytes is None else f", {store.size_bytes / 2**20:.1f} MiB"
    return f"{store.series} series{size}"


def _inbox(inbox: InboxStatus) -> str:
    queue = ", ".join(f"{count} {step}" for step, count in inbox.steps.items())
    owed = "".join(f"; {count} owed to {target}" for target, count in inbox.owed.items())
    return f"{queue}; last delivery {_moment(inbox.last_delivered) or 'none yet'}{owed}"


def _service(service: Served) -> str:
    return (
        f"since {_moment(service.since)}: Prefect {service.prefect_url}, MLflow {service.mlflow_url}, "
        f"reports {service.reports_url}"
    )


def _champion(releases: ReleasesStatus) -> str:
    if releases.champion is None:
        return "none in force"
    return (
        f"version {releases.champion} in force"
        f"{' (synthetic data)' if releases.champion_synthetic else ''}"
        f"{f', made {_moment(releases.champion_created)}' if releases.champion_created else ''}"
    )


def _reading(reading: LastReading) -> str:
    return f"{_moment(reading.when)}, {reading.reports} reports"


def _drift(drift: LastDrift) -> str:
    found = f": {', '.join(drift.drifted)}" if drift.drifted else ""
    return f"{drift.verdict}{found} ({_moment(drift.when)}, {drift.patients} patients, {drift.release})"


def _runs_table(runs: list[RunStatus]) -> Table:
    table = Table("flow", "last run", "started", "took", "next", box=None, pad_edge=False, header_style="bold")
    for run in runs:
        took = "" if run.duration_s is None else f"{run.duration_s:.0f} s"
        table.add_row(run.flow, run.state or "none yet", _moment(run.started), took, _moment(run.next))
    return table


def _moment(time: datetime | None) -> str:
    return time.astimezone().strftime("%Y-%m-%d %H:%M") if time else ""


def print_finding(finding: Finding) -> None:
    """Print one line of the doctor, and the way out under it."""
    colour = {"ok": "green", "warn": "yellow", "fail": "red"}[finding.level]
    line = Text.assemble((f"{finding.level:5}", colour), f"{finding.check:18}", finding.found)
    if finding.way_out:
        line.append(f"\n{'':23}-> {finding.way_out}", style="bold")
    console().print(line, soft_wrap=True)
