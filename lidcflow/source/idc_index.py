"""Find series in the index of the Imaging Data Commons, a table of a million rows.

Importing this module imports Arrow.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from lidcflow.errors import SourceError

ROWS = 16_384
"""Rows of the index in memory at a time: all million of them take 700 MiB."""

CLOSE_NAMES = 3

_NAMES = ("collection_id", "PatientID", "StudyInstanceUID", "SeriesInstanceUID")
_COLUMNS = (
    *_NAMES,
    "Modality",
    "instanceCount",
    "series_size_MB",
    "license_short_name",
    "source_DOI",
    "aws_bucket",
    "crdc_series_uuid",
)


def find_rows(index: Path, name: str, source: str) -> list[dict[str, Any]]:
    """Return the rows of CT series that a name stands for, at least one.

    Parameters
    ----------
    index : Path
        File of the index.
    name : str
        A collection, a PatientID, a StudyInstanceUID or a SeriesInstanceUID, or a collection and one of the others.
    source : str
        How the name was written, for errors.

    Raises
    ------
    SourceError
        If the archive has no CT of that name.
    """
    if not (found := list(_rows_named(index, name))):
        raise SourceError(_unknown(index, name, source))
    return found


def _rows_named(index: Path, name: str) -> Iterator[dict[str, Any]]:
    collection, _, part = name.rpartition("/")
    for rows in _batches(index, _COLUMNS):
        wanted = pc.equal(rows["Modality"], "CT")
        named = pc.equal(rows["collection_id"], _collection_id(part))
        for column in _NAMES[1:]:
            named = pc.or_kleene(named, pc.equal(rows[column], part))
        if collection:
            named = pc.and_kleene(named, pc.equal(rows["collection_id"], _collection_id(collection)))
        yield from rows.filter(pc.and_kleene(wanted, named)).to_pylist()


def _batches(index: Path, columns: Sequence[str]) -> Iterator[Any]:
    """Yield the index in parts: it is one row group, and would be held whole otherwise."""
    with pq.ParquetFile(index, pre_buffer=False) as file:
        yield from file.iter_batches(ROWS, columns=list(columns))


def _collection_id(name: str) -> str:
    """Take a collection's name as people write it: LIDC-IDRI is lidc_idri."""
    return name.lower().replace("-", "_").replace(" ", "_")


def _unknown(index: Path, name: str, source: str) -> str:
    """State that a name stands for no CT, and which ones are like it."""
    modalities, like = set(), set()
    part = name.rpartition("/")[2]
    for rows in _batches(index, ["collection_id", "PatientID", "Modality"]):
        for collection, patient, modality in set(zip(*(rows[n].to_pylist() for n in range(3)), strict=True)):
            if part == patient or _collection_id(part) == collection:
                modalities.add(modality)
            like |= {collection} if modality == "CT" else set()
            like |= {patient} if modality == "CT" and patient[:4].lower() == part[:4].lower() else set()
    if modalities:
        return f"source {source}: must hold CT, got {', '.join(sorted(modalities))} alone; name another collection"
    close = difflib.get_close_matches(part, sorted(like), n=CLOSE_NAMES)
    hint = (
        f"did you mean {' or '.join(close)}?"
        if close
        else "look for its name at https://portal.imaging.datacommons.cancer.gov"
    )
    return f"source {source}: must name a collection, patient, study or series of the public archive, got none; {hint}"
