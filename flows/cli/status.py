"""The command that prints the state of a workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from flows.cli import lazy
from flows.cli.options import AsJson, ConfigFile, Workspace, configured
from flows.cli.output import console, print_columns, print_facts, print_json

if TYPE_CHECKING:
    from datetime import datetime

    from flows.service.flow_runs import RunStatus
    from flows.service.inbox_status import InboxStatus, RoundStatus
    from flows.service.kept_status import KeptStatus
    from flows.service.lock import Served
    from flows.service.status import LastDrift, LastReport, ReleasesStatus, Status, StoreStatus


def status(config_file: ConfigFile = None, workspace: Workspace = None, as_json: AsJson = False) -> None:
    """Show the state of the workspace: volumes, catalog, releases, last runs, inbox, drift, disk."""
    config = configured(config_file, workspace)
    with console().status("looking"):
        found = lazy.status_of(config)
    if as_json:
        print_json(found)
    else:
        print_status(found)


def print_status(found: Status) -> None:
    """Print a table of facts, one of runs, and what is wrong."""
    print_facts(_status_rows(found))
    if found.runs:
        print_columns(("flow", "last run", "started", "took", "next"), _run_rows(found.runs))
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
        "retraining": f"{_moment(last.checked)}: {last.why}" if (last := found.retraining) else "never checked",
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
    """Return the result of the last round; an inbox is empty only if the round succeeded and nothing waits."""
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


def _reading(reading: LastReport) -> str:
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


def _run_rows(runs: list[RunStatus]) -> list[tuple[str, ...]]:
    return [
        (
            run.flow,
            run.state or "none yet",
            _moment(run.started),
            "" if run.duration_s is None else f"{run.duration_s:.0f} s",
            _moment(run.next),
        )
        for run in runs
    ]


def _moment(time: datetime | None) -> str:
    return time.astimezone().strftime("%Y-%m-%d %H:%M") if time else ""
