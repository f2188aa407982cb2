"""State of each inbox source: how far it was read, and its series with a digest of their instances."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lidcflow.dicom.records import VerdictReason
from lidcflow.dicom.values import is_uid
from lidcflow.inbox.delivery import Sighting, instance_set
from lidcflow.pacs.client import Pacs
from lidcflow.pacs.generations import generation_of
from lidcflow.pacs.query import instance_uids
from lidcflow.series.verdicts import Index, Verdict

PASSED_OVER = frozenset({VerdictReason.NOT_CT, VerdictReason.ERASED})


def indexed_sightings(index: Index) -> list[Sighting]:
    """Return the CT series of an index that a report can name, as a PACS shows no others; none that was erased here.

    Parameters
    ----------
    index : Index
        Of a folder, a list or a bucket.

    Returns
    -------
    list of Sighting
        A usable one is known by its images, as in a PACS, so that it is answered once wherever it lies; a refused
        one by its reason and the number of its files.
    """
    named = (verdict for verdict in index if is_uid(verdict.series_instance_uid))
    return [_indexed(verdict) for verdict in named if verdict.reason not in PASSED_OVER]


def pacs_sightings(pacs: Pacs, series: Iterable[tuple[str, str]]) -> Iterator[Sighting]:
    """Ask a PACS what series consist of now, a small request each; one that is gone is passed over.

    Parameters
    ----------
    pacs : Pacs
        The service.
    series : iterable of (StudyInstanceUID, SeriesInstanceUID)

    Raises
    ------
    PacsError, SourceError
        If the service is away, refuses access, or is none.
    """
    for study_uid, series_uid in series:
        if found := instance_uids(pacs, study_uid, series_uid):
            yield Sighting(
                series_uid, study_uid, instance_set(found), len(found), generation_of(pacs, series_uid, found)
            )


def _indexed(verdict: Verdict) -> Sighting:
    if series := verdict.series:
        images = {one.sop_instance_uid for one in series.slices}
        known_by = instance_set(images)
        return Sighting(series.series_instance_uid, series.study_instance_uid, known_by, len(images), series.state)
    known_by = instance_set([str(verdict.reason), str(verdict.n_files)])
    return Sighting(verdict.series_instance_uid, verdict.study_instance_uid or "", known_by, verdict.n_files)
