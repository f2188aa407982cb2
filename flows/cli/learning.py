"""Commands of the learning part: train, the releases, and which of them is in force."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.options import AsJson, ConfigFile, Workspace, configured
from flows.cli.output import NOTICE, print_json, print_line, print_table
from flows.cli.progress import shown_progress
from flows.cli.release import pin_one, show_release
from flows.cli.session import flow_session
from flows.cli.tables import print_release
from lidcflow.config import LIDC, Config
from lidcflow.config.file import load_config
from tasks.progress import Stage, stage

if TYPE_CHECKING:
    from flows.train import TrainReport
    from tasks.tracking.connection import Tracking
    from tasks.tracking.registry import Listed

app = typer.Typer()
Sectors = Annotated[int | None, typer.Option("--sectors", min=1, help="Sectors of the chest: train.sector_num.")]
FromSnapshot = Annotated[
    str | None,
    typer.Option(
        "--snapshot",
        metavar="ID",
        help="Train from exactly this training set, with its settings: an id of `lidcflow snapshots`, or a file.",
    ),
]
Again = Annotated[bool, typer.Option("--again", help="Although a release of the same inputs is there.")]
Force = Annotated[bool, typer.Option("--force", help="Although the gate refused it.")]
Why = Annotated[str, typer.Option("--reason", help="Why, in a sentence; kept in the registry.")]
OneRelease = Annotated[str | None, typer.Argument(metavar="[RELEASE]", help="Alias or version; none: list them all.")]
Pin = Annotated[
    bool,
    typer.Option(
        "--pin",
        help="Check its models; of a release from before digests were kept, keep those of its files as they are now.",
    ),
]
Export = Annotated[Path | None, typer.Option("--export", help="Folder to write record, card and evaluations to.")]
Version = Annotated[int, typer.Argument(metavar="VERSION", help="As `lidcflow releases` lists it.")]

INCOMPLETE = "incomplete: its training was cut short"
RELEASE_COLUMNS = (
    "version",
    "created (UTC)",
    "sectors",
    "AUROC validation",
    "AUROC test",
    "threshold",
    "gate",
    "alias",
    "in short",
)


@app.command()
def train(
    sectors: Sectors = None,
    snapshot: FromSnapshot = None,
    again: Again = False,
    config_file: ConfigFile = None,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Train one model per sector on the labelled volumes of the store, and release them as one version."""
    if sectors and snapshot:
        raise typer.BadParameter("a snapshot says itself how many sectors there are", param_hint="--sectors")
    of_train = {"sector_num": sectors} if sectors else None
    config = load_config(config_file, workspace=workspace, train=of_train)
    with flow_session(config):
        from flows.train import train as run

        report = run(config, snapshot, again)
    if as_json:
        print_json(report)
    else:
        _print_training(report)


@app.command()
def retrain(
    force: Annotated[bool, typer.Option("--force", help="Although nothing asks for it.")] = False,
    config_file: ConfigFile = None,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Train, evaluate and pass the gate if enough has changed since the newest release, and say why or why not."""
    config = configured(config_file, workspace)
    with flow_session(config):
        from flows.retrain import retrain as run

        report = run(config, force)
    if as_json:
        print_json(report)
    else:
        print_line(report.why)
        print_line(f"{report.page or ''}\n{NOTICE}".lstrip())


@app.command()
def releases(
    release: OneRelease = None,
    export: Export = None,
    pin: Pin = False,
    config_file: ConfigFile = None,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """List the releases, newest first; with RELEASE, show its card, or write its folder of facts with --export."""
    tracking = _tracking(config := configured(config_file, workspace))
    if pin and (release is None or export is not None):
        raise typer.BadParameter("give the version or alias of one release before --pin, and no --export")
    if pin and release is not None:
        pin_one(tracking, release, config, as_json=as_json)
    elif release is not None:
        show_release(tracking, release, export, as_json=as_json)
    elif export is not None:
        raise typer.BadParameter("which release? give its version or alias before --export")
    else:
        _list_releases(tracking, as_json=as_json)


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


@app.command()
def pretrain(
    out: Annotated[Path, typer.Argument(metavar="FILE", help="Weight file to write, .npz.")] = Path("compact.npz"),
    volumes: Annotated[int | None, typer.Option(min=4, help="Made-up chests to train on.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of the optimizer.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of chests, weights and order.")] = 0,
    processes: Annotated[int | None, typer.Option(min=1, help="Processes that make chests.")] = None,
    as_json: AsJson = False,
) -> None:
    """Train the compact backbone on chests made up for it; the defaults make the weights in the package."""
    from lidcflow.learn.pretrain import PretrainSettings
    from lidcflow.learn.pretrain import pretrain as run

    asked: dict[str, Any] = {"volumes": volumes, "steps": steps, "processes": processes}
    settings = PretrainSettings(seed=seed, **{key: value for key, value in asked.items() if value is not None})
    with shown_progress("starting Keras"), reported_stages() as report:
        made = run(out, settings, on_progress=report)
    if as_json:
        print_json({**asdict(made), "file": str(made.file), "notice": NOTICE})
    else:
        print_line(
            f"{made.file} in {made.wall_s / 60:.0f} min, SHA-256 {made.sha256}. On held-out chests: slice AUROC of "
            f"nodule or not {made.nodule_auroc:.3f}, of malignant or benign {made.malignant_auroc:.3f}. {NOTICE}"
        )


@contextmanager
def reported_stages() -> Iterator[Callable[[str, int, int], None]]:
    """Give a function that takes reports of named stages and shows each as one."""
    with ExitStack() as running:
        stages: dict[str, Stage] = {}

        def report(name: str, done: int, total: int) -> None:
            if name not in stages:
                stages[name] = running.enter_context(stage(name, total))
            stages[name].reach(done, total)

        yield report


def _tracking(config: Config) -> "Tracking":
    from tasks.tracking.connection import Tracking

    return Tracking.of(config)


def _list_releases(tracking: "Tracking", *, as_json: bool) -> None:
    from tasks.tracking.registry import list_releases

    listed = list_releases(tracking)
    if as_json:
        print_json([_release_facts(release) for release in listed])
    elif listed:
        print_table(f"{len(listed)} releases", RELEASE_COLUMNS, [_release_row(release) for release in listed])
    else:
        print_line("There is no release yet; run `lidcflow train`.")


def _print_training(report: "TrainReport") -> None:
    remark = "reused, nothing has changed since" if report.reused else "just trained"
    print_release(report.release, champion=report.champion, remark=remark)
    why = "" if report.release.labels.sources == (LIDC,) else " (`lidcflow labels` says why)"
    left_out = f", {report.left_out} more without labels{why}" if report.left_out else ""
    left_out += f", {report.wrong_pixels} left out because their pixels look wrong" if report.wrong_pixels else ""
    snapshot = report.release.snapshot_id[:12]
    print_line(f"Trained on {report.series} series of {report.patients} patients{left_out}, snapshot {snapshot}.")


def _release_facts(listed: "Listed") -> dict[str, Any]:
    return {
        "version": listed.version,
        "champion": listed.champion,
        "promoted": listed.promoted and listed.promoted.isoformat(),
        "why_promoted": listed.why_promoted,
        "erased": list(listed.erased),
        "pinned": bool(listed.record and listed.record.pinned),
        "fault": listed.fault,
        "record": listed.record and listed.record.model_dump(mode="json"),
    }


def _release_row(listed: "Listed") -> tuple[Any, ...]:
    alias = "champion" if listed.champion else ""
    record = listed.record
    if record is None:
        return (listed.version, None, None, None, None, None, None, alias, listed.fault or INCOMPLETE)
    auroc = [str(record.metrics[split].release["auroc_nodule"]) for split in ("validation", "test")]
    short = f"{record.backbone.kind}, {record.train.head}, {'synthetic CT' if record.synthetic else 'CT'}"
    short += "" if record.pinned else "; no digests are kept, see --pin"
    short += "".join(f"; {text}" for text in listed.erased)
    gate = "passed" if record.gate.passed else "refused"
    threshold = f"{record.threshold_nodule:.3f} for {record.train.target_sensitivity:.0%}"
    return (
        listed.version,
        f"{record.created:%Y-%m-%d %H:%M}",
        record.sector_num,
        *auroc,
        threshold,
        gate,
        alias,
        short,
    )
