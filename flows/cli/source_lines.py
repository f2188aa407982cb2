"""Lines about a source in commands: its size, files beside the CT, and the terms of its collections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from flows.cli.logs import show_sentence
from flows.cli.output import NOTICE, print_json, print_line
from lidcflow.dicom.records import Collection
from lidcflow.series.verdicts import OtherFiles, listed_kinds
from lidcflow.source.places import parse_source

if TYPE_CHECKING:
    from flows.preprocess import RefusedSeries
    from lidcflow.series.verdicts import Verdict


def announce_download(source: str) -> None:
    """Print on standard error how much a name of the public archive will fetch, before fetching."""
    for collection in _collections(source):
        show_sentence(collection.line)


def print_plan(source: str, as_json: bool) -> None:
    """Print what a name of the public archive takes; only its index is read."""
    collections = _collections(source)
    if not collections:
        raise typer.BadParameter(f"--plan is for the public archive, as idc:lidc_idri, got {source}")
    if as_json:
        print_json({"collections": [asdict(one) for one in collections], "notice": NOTICE})
    else:
        print_surroundings(OtherFiles(), collections)


def print_surroundings(
    beside: OtherFiles, collections: Sequence[Collection], others: Mapping[str, int] | None = None
) -> None:
    """Print what lay beside the CT, and the terms of each collection."""
    lines = [others_line(others or {}), beside.line, *(collection.line for collection in collections)]
    for line in filter(None, lines):
        print_line(line)


def others_line(others: Mapping[str, int]) -> str:
    """Return what people read of series that are passed over; empty when there are none.

    Examples
    --------
    >>> others_line({"DX": 290, "SEG": 12})
    'Beside CT: 290 DX, 12 SEG series, passed over; `lidcflow index SRC --all` lists them.'
    """
    if not others:
        return ""
    return f"Beside CT: {listed_kinds(others)}, passed over; `lidcflow index SRC --all` lists them."


def sentence_alone(named: Verdict | RefusedSeries) -> str:
    """Return the sentence without the UID that stands in the column beside it."""
    return named.sentence.removeprefix(f"series {named.series_instance_uid}: ")


def _collections(source: str) -> tuple[Collection, ...]:
    return parse_source(source).collections()
