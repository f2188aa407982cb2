"""One release for people: its card on the terminal, or its folder of facts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flows.cli.output import NOTICE, console, print_json, print_line

if TYPE_CHECKING:
    from tasks.tracking.connection import Tracking


def show_release(tracking: Tracking, reference: str, folder: Path | None, *, as_json: bool) -> None:
    """Print the card of a release, its record as JSON, or write its facts to a folder and list them."""
    from lidcflow.learn.card import release_card
    from tasks.release_folder import export_facts
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


def print_card(text: str) -> None:
    """Render Markdown on a terminal; a pipe gets it as it is."""
    from rich.markdown import Markdown

    if console().is_terminal:
        console().print(Markdown(text))
    else:
        print(text)
