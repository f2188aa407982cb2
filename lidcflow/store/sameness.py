"""Compare a stored volume with its source as it is now, without reading the source again."""

from __future__ import annotations

from collections.abc import Callable

from lidcflow.dicom.records import Series
from lidcflow.source.location import InPacs, location_of
from lidcflow.source.versions import changed_s
from lidcflow.store.summary import VolumeSummary

MARGIN_S = 3600.0
"""The clock of a file server may be behind, and a volume is committed some time after its files were read."""


def is_of_headers(found: VolumeSummary, series: Series, config_digest: str) -> bool:
    """Return whether a volume was made of images with these headers, with one configuration.

    Parameters
    ----------
    found : VolumeSummary
        What is known of the volume.
    series : Series
        The source as the index found it.
    config_digest : str
        Digest of the preprocessing.
    """
    return (found.fingerprint, found.config_digest) == (series.fingerprint, config_digest)


def is_of_pixels(found: VolumeSummary, series: Series, committed_s: Callable[[], float]) -> bool:
    """Return whether the pixels of a source are known to be those of a volume that is of its headers.

    A source that tells no versions, as most PACS, is known by its instances alone: an instance that was corrected has
    a UID of its own (DICOM PS3.3 C.12.1). Volumes of older versions of lidcflow kept no state of their source: of
    those, files that have not changed since the volume was committed are taken for the files that were read, and
    instances of a PACS for those that the PACS holds now.

    Parameters
    ----------
    found : VolumeSummary
        What is known of the volume.
    series : Series
        The source as the index found it.
    committed_s : callable
        Gives when the volume was committed, in seconds since 1970.
    """
    if not series.state:
        return True
    if found.source_states:
        return series.state in found.source_states
    return _is_untouched(series, committed_s)


def is_of_pacs(series: Series) -> bool:
    """Return whether a series lies in a PACS."""
    return isinstance(location_of(series.slices[0].path), InPacs)


def _is_untouched(series: Series, committed_s: Callable[[], float]) -> bool:
    """Return whether no file can have changed since a volume was committed."""
    if all(location_of(source.path).never_changes for source in series.slices):
        return True
    times_s = [changed_s(source.version) for source in series.slices]
    known_s = [time_s for time_s in times_s if time_s is not None]
    return len(known_s) == len(times_s) and max(known_s) + MARGIN_S < committed_s()
