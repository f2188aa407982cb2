"""The command that lists the releases, and shows one of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli import lazy
from flows.cli.options import AsJson, ConfigFile, Workspace, configured, output_folder
from flows.cli.output import NOTICE, console, print_json, print_line, print_table
from lidcflow.release.card import release_card
from lidcflow.release.pins import EMBEDDED
from tasks.tracking.place import Tracking
from tasks.tracking.releases import list_releases

if TYPE_CHECKING:
    from lidcflow.config import Config
    from tasks.tracking.record import Listed

OneRelease = Annotated[
    str | None,
    typer.Argument(
        metavar="[RELEASE]",
        help="Alias or version, or embedded for the release that ships with lidcflow; default: list all releases.",
    ),
]
Pin = Annotated[
    bool,
    typer.Option(
        "--pin",
        help=(
            "Check the release's models; for a release made before digests were kept, record the digests of "
            "its files as they are now."
        ),
    ),
]
Export = Annotated[
    Path | None,
    typer.Option(
        "--export", callback=output_folder, help="Copy the release's record, model card and evaluations to this folder."
    ),
]

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


def releases(
    release: OneRelease = None,
    export: Export = None,
    pin: Pin = False,
    config_file: ConfigFile = None,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """List the releases, newest first; with RELEASE, show its model card, or copy its files with --export."""
    tracking = Tracking.of(config := configured(config_file, workspace))
    if pin and (release is None or export is not None):
        raise typer.BadParameter("give the version or alias of one release before --pin, and no --export")
    if release == EMBEDDED:
        show_embedded(config, as_json=as_json, only=not (pin or export))
        return
    if pin and release is not None:
        pin_one(tracking, release, config.reports_path, as_json=as_json)
    elif release is not None:
        show_release(tracking, release, export, as_json=as_json)
    elif export is not None:
        raise typer.BadParameter("which release? give its version or alias before --export")
    else:
        _list_releases(tracking, as_json=as_json)


def _list_releases(tracking: Tracking, *, as_json: bool) -> None:
    listed = list_releases(tracking)
    if as_json:
        print_json([_release_facts(release) for release in listed])
    elif listed:
        print_table(f"{len(listed)} releases", RELEASE_COLUMNS, [_release_row(release) for release in listed])
    else:
        print_line("There is no release yet; run `lidcflow train`.")


def _release_facts(listed: Listed) -> dict[str, Any]:
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


def _release_row(listed: Listed) -> tuple[Any, ...]:
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


def show_release(tracking: Tracking, reference: str, folder: Path | None, *, as_json: bool) -> None:
    """Print the card of a release, its record as JSON, or write its facts to a folder and list them."""
    record = lazy.load_release(tracking, reference)
    files = [] if folder is None else lazy.export_facts(tracking, record, folder)
    if as_json:
        print_json(record)
    elif files:
        print_line("\n".join(map(str, files)))
        print_line(f"{record.name} version {record.version}, {len(files)} files. {NOTICE}")
    else:
        print_card(release_card(record))


def show_embedded(config: Config, *, as_json: bool, only: bool) -> None:
    """Print the card of the release that ships with lidcflow, or its record as JSON."""
    if not only:
        raise typer.BadParameter("--pin and --export are for trained releases; the embedded one is in the package")
    record = lazy.embedded_release(config.preprocess)
    if as_json:
        print_json(record)
    elif record.nodules:
        models = (lazy.embedded_detector(), lazy.embedded_segmenter(), lazy.embedded_malignancy())
        print_card(lazy.embedded_card(record, record.nodules, *(model.card for model in models)))


def pin_one(tracking: Tracking, reference: str, reports: Path, *, as_json: bool) -> None:
    """Check the models of a release, and keep their digests where none were kept."""
    before = lazy.load_release(tracking, reference, warn=False)
    record = lazy.pin_release(tracking, before.version)
    lazy.write_facts(record, lazy.release_facts_folder(record, reports))
    if as_json:
        print_json(record)
        return
    models = len({pin.uri for pin in record.sectors})
    found = "match the digests that it pins" if before.pinned else "are pinned by digest now, as they are"
    print_line(f"{record.name} version {record.version}: its {models} models and its record {found}. {NOTICE}")


def print_card(text: str) -> None:
    """Render Markdown on a terminal; a pipe gets it as it is."""
    if console().is_terminal:
        console().print(lazy.Markdown(text))
    else:
        print(text)
