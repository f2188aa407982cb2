"""Index and preprocess a source of DICOM in this process."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from lidcflow.catalog.locks import at_work
from lidcflow.catalog.series import Catalog
from lidcflow.config import Config
from lidcflow.dicom.records import Series
from lidcflow.errors import LidcflowError, SeriesRefused
from lidcflow.pixels.noticed import NOT_LEARNED_FROM
from lidcflow.series.verdicts import Index, Verdict
from lidcflow.source.places import checked_source
from lidcflow.store.address import StoreAddress, training_store
from tasks.api.settings import settings_for, temporary_settings
from tasks.api.store import Store
from tasks.candidates import preprocess_with_candidates
from tasks.refusal import refusal_of
from tasks.source import check_holds_ct, find_series
from tasks.worker import preprocess_series

COLUMNS = [
    "series_instance_uid",
    "study_instance_uid",
    "usable",
    "reason",
    "sentence",
    "images",
    "slice_spacing_mm",
    "flags",
]


def index(source: str | Path, *, config: str | Path | None = None) -> pd.DataFrame:
    """List every series of a source, and why it can or cannot be used.

    Headers alone are read, and nothing is written.

    Parameters
    ----------
    source : str or Path
        Folder of DICOM files, or any other source that `lidcflow index` takes.
    config : str or Path, optional
        Configuration file; by default the settings are the defaults.

    Returns
    -------
    pandas.DataFrame
        A row for each series: UIDs, whether it is ``usable``, the ``reason`` as a code and as a ``sentence``, the
        number of ``images``, ``slice_spacing_mm`` and ``flags``.

    Raises
    ------
    SourceError
        If the source is missing or holds no DICOM image.

    Examples
    --------
    >>> lf.index("dicom").query("not usable")[["reason", "sentence"]]  # doctest: +SKIP
    """
    with temporary_settings(config) as settings:
        found = find_series(checked_source(str(source), settings.access), settings)
    return pd.DataFrame([_row(verdict) for verdict in found], columns=COLUMNS)


def _row(verdict: Verdict) -> tuple[object, ...]:
    series = verdict.series
    study = series.study_instance_uid if series else verdict.study_instance_uid
    spacing_mm = series.slice_spacing_mm if series else None
    why = str(verdict.reason), verdict.sentence
    uid = verdict.series_instance_uid
    return uid, study, verdict.usable, *why, verdict.n_files, spacing_mm, verdict.flags


@dataclass
class Preprocessed:
    """The result of `preprocess`.

    Parameters
    ----------
    store : Store
        The store with the volumes.
    series : list of str
        SeriesInstanceUIDs of the source that are in the store now.
    refused : dict of str to str
        Why each other CT series of the source is not, by SeriesInstanceUID.
    failed : dict of str to SeriesRefused
        Those of them whose headers could be used and whose pixels could not.
    """

    store: Store
    series: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    failed: dict[str, SeriesRefused] = field(default_factory=dict, repr=False)


def preprocess(
    source: str | Path, workspace: str | Path = "lidcflow-workspace", *, config: str | Path | None = None
) -> Preprocessed:
    """Write every usable series of a source to the store of a workspace, one after the other in this process.

    This is what `lidcflow preprocess` does with several processes; both write the same volumes, and a run that was
    interrupted continues where it stopped.

    Parameters
    ----------
    source : str or Path
        Folder of DICOM files, or any other source that `lidcflow preprocess` takes.
    workspace : str or Path
        Folder of the store, the catalog and the key of the pseudonyms; made if it is missing.
    config : str or Path, optional
        Configuration file; by default the settings are the defaults.

    Returns
    -------
    Preprocessed
        The store, the series in it, and why others were refused.

    Raises
    ------
    SourceError
        If the source is missing or holds no CT.
    StoreError
        If the store of the workspace was made with another preprocessing.
    ResourceError
        If the disk is full, or the workspace can't be written.
    """
    settings = settings_for(config, workspace)
    images, store = checked_source(str(source), settings.access), training_store(settings)
    with at_work(settings.workspace, "preprocess", catalog=settings.catalog):
        found = find_series(images, settings)
        check_holds_ct(images, found)
        return bring(found, settings, store)


def bring(found: Index, settings: Config, store: StoreAddress) -> Preprocessed:
    """Preprocess the usable series of an index into a store, and keep the catalog up to date."""
    volumes = store.open(create=True)
    volumes.require_writable()
    brought = Preprocessed(Store(volumes))
    brought.refused = {verdict.series_instance_uid: verdict.sentence for verdict in found.refused}
    with Catalog(settings.catalog) as catalog:
        catalog.record_verdicts(found)
        for series in found.usable:
            uid, outcome = series.series_instance_uid, preprocess_one(series, store)
            if isinstance(outcome, SeriesRefused):
                catalog.record_failed({uid: outcome})
                brought.failed[uid] = outcome
                brought.refused[uid] = outcome.sentence
            else:
                _record(catalog, uid, outcome, brought)
    return brought


def _record(catalog: Catalog, uid: str, digest: str, brought: Preprocessed) -> None:
    """Record a stored volume, with the flags of pixels that look wrong."""
    volumes = brought.store._volumes
    catalog.record_committed({uid: digest}, volumes.config.digest)
    if wrong := NOT_LEARNED_FROM.intersection(volumes.summary(uid).flags):
        catalog.add_flags({uid: sorted(wrong)})
    brought.series.append(uid)


def preprocess_one(series: Series, store: StoreAddress) -> str | SeriesRefused:
    """Preprocess one series; return the digest of its volume, or why the series was refused.

    Raises
    ------
    LidcflowError
        If the cause concerns all series, such as a full disk.
    """
    work = preprocess_with_candidates if store.candidates else preprocess_series
    try:
        return work(series, store_root=store.root, config=store.preprocess, access=store.access)
    except SeriesRefused as refused:
        return refused
    except LidcflowError:
        raise
    except Exception as error:  # whatever a decoder raises concerns this series alone
        return refusal_of(series.series_instance_uid, error)
