"""The study's page and its JSON: self-contained files that open without a network."""

from __future__ import annotations

import functools
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment
from numpy.typing import NDArray

from lidcflow.dicom.orientation import usual_planes, usual_view
from lidcflow.disk import naming_disk_faults
from lidcflow.files import write_together
from lidcflow.report import wording
from lidcflow.report.curve import WIDTH, curve_of
from lidcflow.report.outlines import on_planes
from lidcflow.report.pictures import Pictures, pictures_of, plane_pictures
from lidcflow.report.recommendation import Recommendation, VolumeFacts
from lidcflow.report.rings import rings_by_slice, rings_of, size_mm
from lidcflow.report.told import told_of
from lidcflow.templates import templates_of

Patches = Mapping[int, NDArray[np.int16]]
"""Planes through findings by their ranks: (3, rows, columns) in HU as stored, see `usual_planes`."""

PAGE = "report.html"
DATA = "recommendations.json"

NO_RINGS: Mapping[str, Any] = {"rings": (), "rings_on": {}, "outlines": {}}

FILTERS = (
    wording.percent,
    wording.mm,
    wording.number,
    wording.slices,
    wording.join_words,
    wording.image_numbers,
    wording.image_word,
    wording.facts,
    wording.findings,
    wording.size,
    wording.cubic_mm,
    wording.malignancy,
)
"""Functions that the templates use as filters, by their own names."""


def write_report(
    recommendation: Recommendation, hu: NDArray[np.int16] | None, folder: Path, patches: Patches | None = None
) -> Path:
    """Write ``recommendations.json`` and ``report.html``, each whole or not at all.

    Parameters
    ----------
    recommendation : Recommendation
        What to say.
    hu : (2, slices, rows, columns) array of int16, or None
        Channels mean and max of the volume in HU; none leaves out the pictures.
    folder : Path
        Made if need be; files of an earlier reading are replaced.
    patches : mapping of int to (3, rows, columns) array of int16, optional
        Planes through findings in HU, by their ranks; a finding without them has no small pictures.

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    ResourceError
        If the folder can't be written, or the disk is full: that is the fault of no series.
    ValueError
        If `hu` is not two channels of the recommendation's slices, or `patches` are not three planes each.
    """
    texts = {PAGE: render_recommendation(recommendation, hu, patches), DATA: recommendation.to_json()}
    with naming_disk_faults(f"reports {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        write_together(texts, folder)
    return folder / PAGE


def render_recommendation(
    recommendation: Recommendation, hu: NDArray[np.int16] | None, patches: Patches | None = None
) -> str:
    """Return the page of a recommendation as HTML; parameters as for `write_report`."""
    templates = page_templates()
    return templates.get_template("report.html").render(
        study=recommendation,
        script_hash=script_hash(templates),
        planes=planes_of(recommendation, patches),
        **_contents(recommendation, hu),
    )


def planes_of(recommendation: Recommendation, patches: Patches | None) -> dict[int, list[str]]:
    """Return the pictures of the planes through findings, by rank, turned to how radiologists look at CT."""
    orientation = recommendation.volume.orientation if recommendation.volume else None
    return {
        rank: plane_pictures(planes if orientation is None else usual_planes(planes, orientation))
        for rank, planes in (patches or {}).items()
    }


def script_hash(templates: Environment) -> str:
    """Return what a policy names the page's own script by: its SHA-256, in base 64."""
    script = templates.get_template("report.js").render()
    return b64encode(sha256(script.encode()).digest()).decode("ascii")


def _contents(recommendation: Recommendation, hu: NDArray[np.int16] | None) -> dict[str, Any]:
    pictures = None if hu is None or recommendation.volume is None else _pictures(recommendation, hu)
    contents = page_layout(recommendation, pictures.coronal if pictures else None)
    return {**contents, "pictures": pictures, "reviewing": False}


def page_layout(recommendation: Recommendation, coronal: str | None) -> dict[str, Any]:
    """Return the data of a page's parts: notes, the curve on the chest, proportions, first slices."""
    volume, told = recommendation.volume, told_of(recommendation)
    if volume is None:
        return {"told": told, "volume": None, "curve": None, "coronal": None, "shown": (), **NO_RINGS}
    rings = rings_of(recommendation, volume)
    return {
        "told": told,
        "volume": volume,
        "curve": curve_of(recommendation, volume),
        "coronal": coronal,
        "shown": _shown(recommendation),
        "rings": rings,
        "rings_on": rings_by_slice(rings, volume.slices),
        "outlines": on_planes(recommendation),
        "extent_mm": size_mm(volume)[::-1],
        "width": WIDTH,
        "proportion": _proportion(volume),
        "plot_proportion": min(1.5, max(0.8, _plot_proportion(volume))),
    }


def _pictures(recommendation: Recommendation, hu: NDArray[np.int16]) -> Pictures:
    if hu.ndim != 4 or hu.shape[:2] != (2, len(recommendation.slices)):
        raise ValueError(
            f"series {recommendation.series_instance_uid}: hu must have shape (2, {len(recommendation.slices)}, "
            f"rows, columns), got {hu.shape}"
        )
    return pictures_of(as_usual(recommendation, hu), sharp=[number - 1 for number in _shown(recommendation)])


def as_usual(recommendation: Recommendation, hu: NDArray[np.int16]) -> NDArray[np.int16]:
    """Turn the volume that was read to how radiologists look at CT, however its slices are stored.

    Parameters
    ----------
    recommendation : Recommendation
        About the volume.
    hu : (2, slices, rows, columns) array of int16
        As stored.
    """
    volume = recommendation.volume
    return hu if volume is None or volume.orientation is None else usual_view(hu, volume.orientation)


def _shown(recommendation: Recommendation) -> tuple[int, ...]:
    """Number the slices that people should see first, best first."""
    findings = [one.slice_number for one in recommendation.findings]
    peaks = [one.peak_slice for one in recommendation.ranges]
    highest = [one.slice_number for one in recommendation.highest_slices]
    return tuple(dict.fromkeys([*findings, *peaks, *highest]))


def _proportion(volume: VolumeFacts) -> float:
    """Width over height of a source image on the patient."""
    height_mm, width_mm = size_mm(volume)
    return width_mm / height_mm


def _plot_proportion(volume: VolumeFacts) -> float:
    """Width over height of the scan from the front."""
    return size_mm(volume)[1] / (volume.z_top_mm - volume.z_bottom_mm)


@functools.cache
def page_templates() -> Environment:
    """Return the templates of all pages of readings, read once by a process."""
    return templates_of("lidcflow.report", filters={function.__name__: function for function in FILTERS})
