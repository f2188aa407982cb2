"""Check that no two series of an index claim one SOPInstanceUID for two images."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from lidcflow.config import Access
from lidcflow.dicom.records import Series, SourceSlice, VerdictReason
from lidcflow.pixels.compare import differing
from lidcflow.series.verdicts import Verdict
from lidcflow.source.files import SourceFile

Place = tuple[int, SourceSlice]
"""A slice, and the number of the verdict that it is of."""


class SeenInstances:
    """Instances of the series of an index: 8 bytes are held for each instance of an archive."""

    def __init__(self) -> None:
        self._hashes = array("q")
        self._ends = array("q")

    def note(self, verdict: Verdict) -> None:
        """Note the instances of the next series."""
        self._hashes.extend(map(hash, _instances(verdict)))
        self._ends.append(len(self._hashes))

    def places(self, verdicts: Sequence[Verdict]) -> dict[str, list[Place]]:
        """Find SOPInstanceUIDs that several series have; only series that may have one are looked at again."""
        doubled = _doubled(self._hashes)
        places: defaultdict[str, list[Place]] = defaultdict(list)
        for number in self._holders(doubled):
            for uid, source in _instances(verdicts[number]).items():
                if hash(uid) in doubled:
                    places[uid].append((number, source))
        return {uid: found for uid, found in places.items() if len(found) > 1}

    def _holders(self, doubled: set[int]) -> list[int]:
        """Return the numbers of the series that have an instance with one of these hashes, a series at a time."""
        starts = [0, *self._ends[:-1]]
        pairs = zip(starts, self._ends, strict=True) if doubled else ()
        return [n for n, (start, end) in enumerate(pairs) if not doubled.isdisjoint(self._hashes[start:end])]


def refuse_shared(verdicts: Sequence[Verdict], seen: SeenInstances, access: Access) -> list[Verdict]:
    """Refuse series whose instances another series has too, with other pixels or of another patient.

    A series that was sent twice under two SeriesInstanceUIDs is accepted: both refer to the same images.

    Parameters
    ----------
    verdicts : sequence of Verdict
        One for each series of an index.
    seen : SeenInstances
        Which has noted each of them, in this order.
    access : Access
        How buckets and PACS are reached; pixels are read of shared instances alone.
    """
    bad: defaultdict[int, set[str]] = defaultdict(set)
    for uid, places in seen.places(verdicts).items():
        if not _are_one_image(verdicts, places, access):
            for number, _ in places:
                bad[number].add(uid)
    return [_refused(verdict, bad[number]) if number in bad else verdict for number, verdict in enumerate(verdicts)]


def _instances(verdict: Verdict) -> dict[str, SourceSlice]:
    """Return one slice for each instance of a usable series; of a multi-frame object its lowest frame number."""
    slices: Sequence[SourceSlice] = verdict.series.slices if verdict.series else ()
    if slices and slices[0].frame_number is not None:
        slices = sorted(slices, key=lambda source: -(source.frame_number or 0))
    return {source.sop_instance_uid: source for source in slices}


def _doubled(hashes: array[int]) -> set[int]:
    ordered = np.sort(np.frombuffer(hashes, np.int64)) if hashes else np.empty(0, np.int64)
    return set(ordered[1:][ordered[1:] == ordered[:-1]].tolist())


def _are_one_image(verdicts: Sequence[Verdict], places: Sequence[Place], access: Access) -> bool:
    patients = {series.patient_key for series in _series(verdicts, places)}
    pairs = [(one, other) for (_, one), (_, other) in pairwise(places)]
    return len(patients) == 1 and differing(pairs, access) == []


def _series(verdicts: Sequence[Verdict], places: Sequence[Place]) -> Iterator[Series]:
    for number, _ in places:
        if series := verdicts[number].series:
            yield series


def _refused(verdict: Verdict, uids: Sequence[str] | set[str]) -> Verdict:
    series = verdict.series
    if series is None:
        return verdict
    top = series.slices[0]
    sentence = (
        f"series {verdict.series_instance_uid}: a SOPInstanceUID must stand for one image, got {len(uids)} that "
        f"another series has too with other pixels or of another patient, the first {min(uids)}; "
        "the series can't be traced to its images, export it again"
    )
    return replace(
        verdict,
        reason=VerdictReason.BAD_UID,
        sentence=sentence,
        flags=(),
        series=None,
        study_instance_uid=series.study_instance_uid,
        example=SourceFile(top.path, top.file_bytes, top.version),
    )
