"""Short form of a stored volume's description, without its hundreds of source slices."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SLICES_KEY = b'"source_slices":'
"""Start of the long rest of a description: `lidcflow.store.record.attributes_of` puts the slices last."""


@dataclass(frozen=True, slots=True, eq=False)
class VolumeSummary:
    """A committed volume in short; parameters are those of `lidcflow.store.record.VolumeRecord`."""

    series_instance_uid: str
    study_instance_uid: str
    patient_key: str
    synthetic: bool
    fingerprint: str
    config_digest: str
    volume_digest: str
    edges_mm: NDArray[np.float64]
    acquisition: dict[str, Any]
    rows: int
    columns: int
    slice_spacing_mm: float
    row_spacing_mm: float
    column_spacing_mm: float
    source_states: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    candidates: int = 0


_TUPLES = ("source_states", "flags")
_NAMES = [name for name in VolumeSummary.__slots__ if name not in ("edges_mm", "candidates", *_TUPLES)]


def summary_of(description: bytes) -> VolumeSummary:
    """Read the short part of the description of a volume's group.

    To parse all of it takes 20 times as long: it holds every source slice, and every slab's share of them.

    Raises
    ------
    ValueError, KeyError, TypeError
        If it is not one of `attributes_of`.
    """
    facts = _head(description) or json.loads(description)["attributes"]["lidcflow"]
    values = {name: facts[name] for name in _NAMES} | {name: tuple(facts.get(name, ())) for name in _TUPLES}
    edges_mm, candidates = np.array(facts["edges_mm"]), int(facts.get("candidates", 0))
    return VolumeSummary(edges_mm=edges_mm, candidates=candidates, **values)


def _head(description: bytes) -> dict[str, Any] | None:
    """Return the facts before the source slices; None where they are not the last ones."""
    head, found, rest = description.partition(SLICES_KEY)
    if not rest.endswith(b"}"):  # cut short
        return None
    try:
        facts: dict[str, Any] = json.loads(head.rstrip().removesuffix(b",") + b"}}}")["attributes"]["lidcflow"]
    except (ValueError, KeyError, TypeError):
        return None
    return facts if found and {*_NAMES, "edges_mm"} <= facts.keys() else None
