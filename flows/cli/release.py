"""One release for people: its card on the terminal, or its folder of facts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flows.cli.output import NOTICE, console, print_json, print_line

if TYPE_CHECKING:
    from lidcflow.config import Config
    from tasks.tracking.connection import Tracking


def show_release(tracking: Tracking, reference: str, folder: Path | None, *, as_json: bool) -> None:
    """Print the card of a release, its record as JSON, or write its facts to a folder and list them."""
    from lidcflow.release.card import release_card
    from tasks.release import export_facts
    from tasks.tracking.registry import load_release

    record = load_release(tracking, reference)
    files = [] if folder is None else export_facts(tracking, record, folder)
    if as_json:
        print_json(record)
    elif files:
        print_line("\n".join(map(str, files)))
        print_line(f"{record.name} version {record.version}, {len(files)} files. {NOTICE}")
    else:
        print_card(release_card(record))


def pin_one(tracking: Tracking, reference: str, config: Config, *, as_json: bool) -> None:
    """Check the models of a release, and keep their digests where none were kept."""
    from tasks.pin import pin_release
    from tasks.release import folder_of, write_facts
    from tasks.tracking.registry import load_release

    before = load_release(tracking, reference, warn=False)
    record = pin_release(tracking, before.version)
    write_facts(record, folder_of(record, config.reports_path))
    if as_json:
        print_json(record)
        return
    models = len({pin.uri for pin in record.sectors})
    found = "match the digests that it pins" if before.pinned else "are pinned by digest now, as they are"
    print_line(f"{record.name} version {record.version}: its {models} models and its record {found}. {NOTICE}")


def print_card(text: str) -> None:
    """Render Markdown on a terminal; a pipe gets it as it is."""
    from rich.markdown import Markdown

    if console().is_terminal:
        console().print(Markdown(text))
    else:
        print(text)
