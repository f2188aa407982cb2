"""Commands of the learning part: train, the releases, and which of them is in force."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.options import AsJson, ConfigFile, Workspace, configured
from flows.cli.output import NOTICE, print_json, print_line, print_table
from flows.cli.session import flow_session
from flows.cli.tables import print_release
from lidcflow.config import Config, load_config

if TYPE_CHECKING:
    from flows.train import TrainReport
    from tasks.tracking.connection import Tracking
    from tasks.tracking.registry import Listed

app = typer.Typer()
Sectors = Annotated[int | None, typer.Option("--sectors", min=1, help="Sectors of the chest: train.sector_num.")]
Force = Annotated[bool, typer.Option("--force", help="Although the gate refused it.")]
Why = Annotated[str, typer.Option("--reason", help="Why, in a sentence; kept in the registry.")]
Version = Annotated[int, typer.Argument(metavar="VERSION", help="As `lidcflow releases` lists it.")]


@app.command()
def train(
    sectors: Sectors = None, config_file: ConfigFile = None, workspace: Workspace = None, as_json: AsJson = False
) -> None:
    """Train one model per sector on the labelled volumes of the store, and release them as one version."""
    of_train = {"sector_num": sectors} if sectors else None
    config = load_config(config_file, workspace=workspace, train=of_train)
    with flow_session(config):
        from flows.train import train as run

        report = run(config)
    if as_json:
        print_json(report)
    else:
        _print_training(report)


@app.command()
def releases(config_file: ConfigFile = None, workspace: Workspace = None, as_json: AsJson = False) -> None:
    """List the releases, newest first."""
    tracking = _tracking(configured(config_file, workspace))
    from tasks.tracking.registry import list_releases

    listed = list_releases(tracking)
    if as_json:
        print_json([_release_facts(release) for release in listed])
    elif listed:
        columns = ("version", "created (UTC)", "sectors", "AUROC validation", "AUROC test", "gate", "alias", "in short")
        print_table(f"{len(listed)} releases", columns, [_release_row(release) for release in listed])
    else:
        print_line("There is no release yet; run `lidcflow train`.")


@app.command()
def promote(
    version: Version,
    force: Force = False,
    reason: Why = "",
    config_file: ConfigFile = None,
    workspace: Workspace = None,
) -> None:
    """Put a release in force: from now on, inference reads with it."""
    tracking = _tracking(configured(config_file, workspace))
    from tasks.promote import promote as run

    record = run(tracking, version, force=force, reason=reason)
    print_line(f"{record.name} version {record.version} is the champion. {NOTICE}")


@app.command()
def rollback(config_file: ConfigFile = None, workspace: Workspace = None) -> None:
    """Put the release that was in force before back in force."""
    tracking = _tracking(configured(config_file, workspace))
    from tasks.promote import rollback as run

    taken_back, record = run(tracking)
    print_line(f"{record.name} version {record.version} is the champion again, not version {taken_back}. {NOTICE}")


def _tracking(config: Config) -> "Tracking":
    from tasks.tracking.connection import Tracking

    return Tracking.of(config)


def _print_training(report: "TrainReport") -> None:
    remark = "reused, nothing has changed since" if report.reused else "just trained"
    print_release(report.release, champion=report.champion, remark=remark)
    left_out = f", {report.left_out} more without labels" if report.left_out else ""
    print_line(f"Trained on {report.series} series of {report.patients} patients{left_out}.")


def _release_facts(listed: "Listed") -> dict[str, Any]:
    return {
        "version": listed.version,
        "champion": listed.champion,
        "promoted": listed.promoted and listed.promoted.isoformat(),
        "why_promoted": listed.why_promoted,
        "record": listed.record and listed.record.model_dump(mode="json"),
    }


def _release_row(listed: "Listed") -> tuple[Any, ...]:
    alias = "champion" if listed.champion else ""
    record = listed.record
    if record is None:
        return (listed.version, None, None, None, None, None, alias, "incomplete: its training was cut short")
    auroc = [str(record.metrics[split].release["auroc_nodule"]) for split in ("validation", "test")]
    short = f"{record.backbone.kind}, {record.train.head}, {'synthetic CT' if record.synthetic else 'CT'}"
    gate = "passed" if record.gate.passed else "refused"
    return (listed.version, f"{record.created:%Y-%m-%d %H:%M}", record.sector_num, *auroc, gate, alias, short)
