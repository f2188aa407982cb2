"""Commands of the inbox: what has come, how far it is, one round through it, and another try."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli import lazy
from flows.cli.options import AsJson, ConfigFile, Workspace, configured
from flows.cli.output import NOTICE, SOME_LACKING, print_json, print_line, print_table
from flows.cli.session import flow_session
from flows.service.events import STUDY_ARRIVED, send_event
from flows.service.lock import served
from flows.service.password import known_password
from flows.service.place_checks import target_faults
from lidcflow.config import Config
from lidcflow.errors import ConfigError, ResourceError
from lidcflow.inbox.cursors import left_out
from lidcflow.inbox.delivery import Delivery, Step
from lidcflow.inbox.ledger import Ledger

if TYPE_CHECKING:
    from flows.inbox_report import InboxReport

MOST_ROWS = 100

inbox = typer.Typer(
    help="List received series with their processing and delivery status.",
    invoke_without_command=True,
    add_completion=False,
)
Steps = Annotated[list[Step] | None, typer.Option("--step", help="List only series at this step; may be repeated.")]
Uids = Annotated[
    list[str] | None, typer.Argument(metavar="[SERIES...]", help="SeriesInstanceUIDs; default: all of them.")
]
Answered = Annotated[
    bool, typer.Option("--answered", help="Also process and deliver series again that already have an answer.")
]


@inbox.callback()
def listed(
    context: typer.Context,
    step: Steps = None,
    config_file: ConfigFile = None,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """List what has come, newest first."""
    if context.invoked_subcommand:
        return
    config = configured(config_file, workspace)
    with Ledger(config.catalog) as ledger:
        rows, counts, omitted = ledger.rows(step)[::-1], ledger.counts(), left_out(ledger, config.inboxes)
        owed = ledger.owed()
    if as_json:
        shown = [_facts(row) for row in rows]
        print_json({"counts": counts, "deliveries": shown, "owed": owed, "left_out": omitted, "notice": NOTICE})
        return
    if rows:
        _print_rows(rows)
        print_line(", ".join(f"{count} {name}" for name, count in counts.items()) + ".")
    else:
        print_line("Nothing has come into the inbox; `lidcflow inbox run` looks into it.")
    _print_owed(owed)
    for sentence in omitted:
        print_line(f"Left out: {sentence}.")


@inbox.command()
def run(config_file: ConfigFile = None, workspace: Workspace = None, as_json: AsJson = False) -> None:
    """Poll every source now, and process and deliver every complete series, as the schedule does."""
    config = configured(config_file, workspace)
    _check_inbox(config)
    with flow_session(config, "inbox_report"):
        report = lazy.inbox_report(config)
    if as_json:
        print_json(report)
    else:
        _print_report(report)
    if report.refused or report.failed or report.unreachable or report.away:
        raise typer.Exit(SOME_LACKING)


@inbox.command()
def retry(
    series: Uids = None,
    answered: Answered = False,
    config_file: ConfigFile = None,
    workspace: Workspace = None,
) -> None:
    """Retry failed and dead-lettered series in the next round, without waiting for their delay."""
    if answered and not series:
        raise typer.BadParameter(
            "must come with the series that are to be read again; name them", param_hint="--answered"
        )
    with Ledger(configured(config_file, workspace).catalog) as ledger:
        count = ledger.retry(series, answered=answered)
    print_line(f"{count} series go round again with the next `lidcflow inbox run`, scheduled or not.")


@inbox.command()
def notify(config_file: ConfigFile = None, workspace: Workspace = None) -> None:
    """Make a running `lidcflow up` read at once what is in the inbox; a PACS can call this when a study is complete."""
    config = configured(config_file, workspace)
    serving = served(config.workspace)
    if serving is None:
        raise ResourceError(
            f"workspace {config.workspace}: `lidcflow up` must serve it to be notified, got none; start it, "
            "or use `lidcflow inbox run`"
        )
    send_event(serving.prefect_api_url, STUDY_ARRIVED, known_password(config.prefect_home))
    print_line("Told; a round starts unless one is under way, and takes every study that is there for complete.")


def _check_inbox(config: Config) -> None:
    """Raise unless there is a source, and each target can be delivered to."""
    if not config.inboxes:
        raise ConfigError(
            'inbox: a source must be configured, got none; set inbox = "pacs:main" or a folder in lidcflow.toml'
        )
    if faults := list(target_faults(config)):
        raise ConfigError("; also ".join(faults))


def _print_rows(rows: list[Delivery]) -> None:
    columns = ("seen (UTC)", "study", "series", "images", "step", "attempts", "next try (UTC)", "reason")
    shown = [
        (
            _time(row.seen),
            row.study_instance_uid,
            row.series_instance_uid,
            row.n_instances,
            str(row.step),
            row.attempts,
            _time(row.next_try),
            row.sentence or None,
        )
        for row in rows[:MOST_ROWS]
    ]
    more = f", the newest {MOST_ROWS} of {len(rows)}; --json has all" if len(rows) > MOST_ROWS else ""
    print_table(f"Inbox{more}", columns, shown)


def _print_report(report: InboxReport) -> None:
    print_line(
        f"{report.delivered} delivered, {report.refused} refused, {report.failed} failed, {report.waiting} waiting, "
        f"with {report.release} in {report.seconds:.0f} s. `lidcflow inbox` lists them. {report.notice}"
    )
    for sentence in report.unreachable:
        print_line(f"Not looked into: {sentence}")
    for sentence in report.away:
        print_line(f"Away: {sentence}")
    _print_owed(report.owed)


def _print_owed(owed: dict[str, int]) -> None:
    for target, count in owed.items():
        print_line(f"Owed to {target}: {count} answers.")


def _facts(row: Delivery) -> dict[str, Any]:
    values = {field.name: getattr(row, field.name) for field in fields(row)}
    facts: dict[str, Any] = json.loads(json.dumps(values, default=lambda value: value.isoformat()))
    return facts


def _time(at: datetime | None) -> str | None:
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else None
