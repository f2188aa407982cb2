"""How the service commands show themselves on a terminal."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from flows.cli.output import NOTICE, console
from flows.service.password import CLIENT_VARIABLE, password_file, user_password
from flows.service.same_origin import LOOPBACK

if TYPE_CHECKING:
    from datetime import datetime

    from flows.service.doctor import Finding
    from flows.service.inbox_status import InboxStatus, RoundStatus
    from flows.service.kept_status import KeptStatus
    from flows.service.lock import Served
    from flows.service.status import LastDrift, LastReading, ReleasesStatus, RunStatus, Status, StoreStatus
    from flows.service.up import Serving
    from lidcflow.config import Config


_AS_IT_IS: dict[str, Any] = {"markup": False, "highlight": False, "soft_wrap": True}


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
        if serving.doubt:
            self._out.print(f"[yellow]look at this:[/] {escape(serving.doubt)}", soft_wrap=True)
        if config.serve.host not in LOOPBACK:
            self._out.print(
                "[yellow]anyone who reaches this machine can use MLflow and the reports:[/] they ask for no password; "
                "the servers answer to IP addresses, the names of this machine, and those of serve.hosts",
            )
        self._print_access(serving, config)
        self._out.print(f"Ctrl-C stops everything. {NOTICE}")

    def _print_access(self, serving: Serving, config: Config) -> None:
        """Print how to get into Prefect, without the password itself: a terminal is often a log."""
        if user_password():
            self._out.print(f"Prefect asks for the password that {CLIENT_VARIABLE} names.")
            return
        file = shlex.quote(str(password_file(config)))
        shell = f'export PREFECT_API_URL={serving.addresses.prefect_api} {CLIENT_VARIABLE}="$(cat {file})"'
        self._out.print(
            "Prefect's page asks for a password: all of the line that this prints",
            f"  cat {file}",
            sep="\n",
            **_AS_IT_IS,
        )
        self._out.print("For the command `prefect` in a shell:", f"  {shell}", sep="\n", **_AS_IT_IS)


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
        "inbox": _inbox(found.inbox) if found.inbox else "not looked into yet",
        "releases": f"{releases.releases}, {_champion(releases)}" if releases else "none yet",
        "retraining": f"{_moment(last.checked)}: {escape(last.why)}" if (last := found.retraining) else "never checked",
        "erased": f"{found.erasures.done} patients, studies or series" if found.erasures else "nothing",
        "last read": _reading(found.reading) if found.reading else "none yet",
        "drift": _drift(found.drift) if found.drift else "not checked yet",
        "kept": _kept(found.kept, found.runs or []),
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
    delivered = f"{queue}; last delivery {_moment(inbox.last_delivered) or 'none yet'}{owed}" if queue else ""
    told = [delivered, *(_round(last) for last in inbox.rounds[:1])]
    return "; ".join(part for part in told if part)


def _round(last: RoundStatus) -> str:
    """Return what the last round came to; an inbox is empty only if the round succeeded and nothing waits."""
    when = f"at {_moment(last.ended)}"
    if last.error:
        return f"the last round, {when}, failed"
    if last.unreachable:
        return f"the last round, {when}, could not look into {len(last.unreachable)} sources"
    counts = {"delivered": last.delivered, "refused": last.refused, "failed": last.failed, "waiting": last.waiting}
    found = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    return f"the last round, {when}, {f'came to {found}' if found else 'found nothing new'}"


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


def _kept(kept: KeptStatus, runs: list[RunStatus]) -> str:
    """Return the retention times, the sizes kept now, and the time of the next clean-up."""
    last = kept.last
    sizes = {
        f"Prefect {_days(kept.prefect_days)}": kept.prefect_bytes,
        f"volumes of the inbox {_days(kept.inbox_store_days)}": last.inbox_store_bytes if last else None,
        f"reports {_days(kept.reports_days)}": last.reports_bytes if last else None,
    }
    told = [name if size is None else f"{name}, {size / 2**20:.1f} MiB" for name, size in sizes.items()]
    if last is None:
        told.append("nothing was cleaned up yet")
    else:
        oldest = f", the oldest volume is of {_moment(last.oldest_volume)}" if last.oldest_volume else ""
        told.append(f"{_moment(last.at)}: {last.volumes} volumes and {last.reports} reports deleted{oldest}")
    following = next((run.next for run in runs if run.flow == "clean" and run.next), None)
    return "; ".join([*told, f"next {_moment(following)}" if following else "`lidcflow clean` does it now"])


def _days(days: float | None) -> str:
    return "for ever" if days is None else f"{days:g} days"


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
