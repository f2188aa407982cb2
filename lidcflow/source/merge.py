"""One listing of several: what a list file names, or the places of a delivery."""

from __future__ import annotations

from collections.abc import Iterable

from lidcflow.source.files import Listing
from lidcflow.source.shelf import join_files


def merge_listings(name: str, listings: Iterable[Listing], missing_lines: tuple[int, ...] = ()) -> Listing:
    """Make one listing of several; a file that two of them hold is in it once.

    Parameters
    ----------
    name : str
        Name of the whole.
    listings : iterable of Listing
        Its parts.
    missing_lines : tuple of int
        Lines that name none.
    """
    parts = list(listings)
    return Listing(
        name,
        join_files([part.files for part in parts]),
        unlistable=sum(part.unlistable for part in parts),
        missing_lines=missing_lines,
        collections=tuple(dict.fromkeys(collection for part in parts for collection in part.collections)),
        attributions={folder: made for part in parts for folder, made in part.attributions.items()},
        incomplete={uid: sentence for part in parts for uid, sentence in part.incomplete.items()},
        resized=frozenset(uid for part in parts for uid in part.resized),
        series=tuple(sorted({series.url: series for part in parts for series in part.series}.values())),
    )
