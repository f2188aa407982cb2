"""The pages of `lidcflow reports`: the index, and the page of a study with its stack of slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from importlib.resources import files
from typing import Any
from urllib.parse import urlencode

import numpy as np
from numpy.typing import NDArray

from lidcflow.report.folder import ReportKey
from lidcflow.report.index import VERDICTS, Filter, ListingPage
from lidcflow.report.marks import READER_CODE
from lidcflow.report.page import Patches, page_layout, page_templates, planes_of
from lidcflow.report.pictures import coronal_picture
from lidcflow.report.recommendation import Recommendation, SliceReading
from lidcflow.report.rings import rings_of
from lidcflow.report.told import Told, told_of
from lidcflow.report.wording import image_numbers, image_word, mm, percent

VERDICT_NAMES = {
    "ranges": "ranges",
    "nothing-above-threshold": "nothing above threshold",
    "not-evaluated": "not evaluated",
    "unreadable": "unreadable",
}
STATIC = {
    "report.css": "text/css",
    "served.css": "text/css",
    "keys.js": "text/javascript",
    "stack.js": "text/javascript",
    "marks.js": "text/javascript",
}


def render_index(page: ListingPage, chosen: Filter, releases: Sequence[str], others: Sequence[tuple[str, str]]) -> str:
    """Return the index as HTML.

    Parameters
    ----------
    page : ListingPage
        What to list.
    chosen : Filter
        What the form shows as chosen.
    releases : sequence of str
        What the form offers.
    others : sequence of (name, address)
        Pages of evaluations and experiments.
    """
    wanted = {name: value for name, value in asdict(chosen).items() if value}
    return (
        page_templates()
        .get_template("index.html")
        .render(
            page=page,
            chosen=chosen,
            filtered=bool(wanted),
            releases=releases,
            verdicts=VERDICTS,
            names=VERDICT_NAMES,
            others=others,
            address=lambda number: "?" + urlencode({**wanted, "page": number}),
        )
    )


def render_study(said: Recommendation, hu: NDArray[np.int16] | None, patches: Patches | None = None) -> str:
    """Return the page of a study as HTML.

    Parameters
    ----------
    said : Recommendation
        What to say.
    hu : (2, slices, rows, columns) array of int16, or None
        The volume that was read, which the page fetches by itself; None where it is not there any more.
    patches : mapping of int to (3, rows, columns) array of int16, optional
        Planes through findings, as for `lidcflow.report.page.write_report`.
    """
    return (
        page_templates()
        .get_template("study.html")
        .render(
            study=said,
            pictures=None,
            planes=planes_of(said, patches),
            reviewing=said.volume is not None,
            stack=None if said.volume is None else stack_of(said, hu),
            reader_code=READER_CODE.strip("^$"),
            **page_layout(said, None if hu is None else coronal_picture(hu)),
        )
    )


def render_unreadable(key: ReportKey, sentence: str) -> str:
    """Return the page of a report that can't be read."""
    return page_templates().get_template("unreadable.html").render(key=key, sentence=sentence)


def stack_of(said: Recommendation, hu: NDArray[np.int16] | None) -> dict[str, Any]:
    """Return what the script of the stack needs; every number is in words already.

    Parameters
    ----------
    said, hu
        As for `render_study`.
    """
    told = told_of(said)
    return {
        "shape": None if hu is None else list(hu.shape),
        "version": said.release.version,
        "volume": said.volume.volume_digest if said.volume else "",
        "ranges": [[one.first_slice, one.last_slice, one.rank] for one in said.ranges],
        "findings": [] if said.volume is None else [asdict(ring) for ring in rings_of(said, said.volume)],
        "slices": [_slice(one, told) for one in said.slices],
    }


def static_file(name: str) -> tuple[bytes, str] | None:
    """Return a style sheet or script of the pages with its media type."""
    if name not in STATIC:
        return None
    return (files("lidcflow.report") / "templates" / name).read_bytes(), STATIC[name]


def _slice(one: SliceReading, told: Told) -> dict[str, Any]:
    images = one.source_images
    return {
        "nodule": told.percent(one.probabilities.nodule),
        "malignant": told.percent(one.probabilities.malignant),
        "z": mm(one.z_mm),
        "sector": str(one.sector),
        "word": image_word(images),
        "images": image_numbers(images),
        "sources": [[_numbered(image.number), mm(image.z_mm), percent(image.weight)] for image in images],
    }


def _numbered(number: int | None) -> str:
    return "?" if number is None else str(number)
