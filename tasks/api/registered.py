"""A registered release as MLflow loads it: volumes in, a table of slices and findings out.

MLflow imports this module by its name, `tasks.tracking.loadable.LOADER`, and calls `_load_pyfunc`: nothing is
unpickled, and no code that lies in the registry is run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from lidcflow.config import Config
from lidcflow.dicom.values import is_uid
from lidcflow.release.record import ReleaseRecord
from lidcflow.store.locate import is_store
from tasks.api.array_series import write_array_series
from tasks.api.result import FINDING_COLUMNS, SeriesResult
from tasks.api.settings import settings_for, temporary_settings, with_section
from tasks.api.study import read_source
from tasks.infer_series import config_for, infer_stored
from tasks.tracking.in_force import configured_release
from tasks.tracking.loadable import COLUMNS, uri_of_process
from tasks.tracking.record import RECORD_FILE

STORED_SERIES = "series"
"""Group of a store that has a group for each series."""


class RegisteredRelease:
    """A release that reads volumes, as `lidcflow infer` does. Research use only, not for diagnosis.

    Parameters
    ----------
    name : str
        The registered release.
    version : int
        Its version.
    uri : str
        Of the registry that has it and its sector models; record and models are checked against their digests there.
    """

    def __init__(self, name: str, version: int, uri: str) -> None:
        self.name, self.version, self.uri = name, version, uri

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Return the slices and findings of volumes as one table.

        Parameters
        ----------
        model_input : str, Path, array, list or DataFrame
            The path of a DICOM folder, or of a series in a store as ``<store>/series/<SeriesInstanceUID>``; a list or a
            column ``source`` of such paths; or a (slices, rows, columns) array in HU, top of the chest first.
        params : mapping, optional
            ``spacing_mm``: distances of slices, rows and columns of an array. ``config``: a configuration file, for
            backbones with a weight file of their own and for buckets. ``workspace``: a folder that keeps volumes for
            the next call.

        Returns
        -------
        pandas.DataFrame
            `COLUMNS`. Of each series, a row of kind ``series`` with the verdict and the warnings, then one of kind
            ``slice`` for each slice from the top of the chest, then one of kind ``finding`` for each finding, best
            first. ``nodule`` is P(nodule), ``malignant`` P(malignant).

        Raises
        ------
        ValueError
            If the input is none of these, or an array has no spacing.
        LidcflowError
            If a source holds no CT, or the release or its models have changed.
        """
        given = dict(params or {})
        with _settings(given) as settings, _sources(model_input, given) as sources:
            settings = with_section(settings, "infer", {"release": str(self.version)})
            settings = with_section(settings, "tracking", {"uri": self.uri, "registry_name": self.name})
            tables = [_table(result) for source in sources for result in _results(source, settings)]
        return pd.concat(tables, ignore_index=True) if tables else _typed([])


def _load_pyfunc(path: str) -> RegisteredRelease:
    """Load a release from a copy of the folder of its record; MLflow calls this."""
    record = ReleaseRecord.model_validate_json((Path(path) / RECORD_FILE).read_bytes())
    return RegisteredRelease(record.name, record.version, uri_of_process())


def _settings(params: Mapping[str, Any]) -> AbstractContextManager[Config]:
    config = params.get("config") or None
    workspace = params.get("workspace") or None
    return temporary_settings(config) if workspace is None else nullcontext(settings_for(config, workspace))


def _sources(model_input: Any, params: Mapping[str, Any]) -> AbstractContextManager[list[str]]:
    """Yield the places that an input names."""
    if isinstance(model_input, np.ndarray) and model_input.dtype.kind in "iuf":
        return _written(model_input, [float(mm) for mm in params.get("spacing_mm", ())])
    if isinstance(model_input, pd.DataFrame) and "source" in model_input:
        model_input = model_input["source"].tolist()
    if isinstance(model_input, str | Path):
        model_input = [model_input]
    if not isinstance(model_input, list) or not all(isinstance(one, str | Path) for one in model_input):
        raise ValueError(
            "input of a release: must be the path of a DICOM folder or of a stored series, a list or a column source "
            f"of such paths, or a (slices, rows, columns) array in HU, got {type(model_input).__name__}"
        )
    return nullcontext([str(one) for one in model_input])


@contextmanager
def _written(hu: Any, spacing_mm: list[float]) -> Iterator[list[str]]:
    """Yield the folder of an array as a DICOM series, which is removed when the block ends."""
    with TemporaryDirectory(prefix="lidcflow-array-") as folder:
        write_array_series(hu, spacing_mm, Path(folder))
        yield [folder]


def _results(source: str, settings: Config) -> Iterator[SeriesResult]:
    """Yield the results for the series of a source, or for one stored series."""
    root, _, uid = source.rstrip("/").rpartition(f"/{STORED_SERIES}/")
    if not (root and is_uid(uid) and is_store(root, settings.access)):
        yield from read_source(source, settings)
        return
    stored = settings.model_copy(update={"inbox_store": root if "://" in root else str(Path(root).absolute())})
    release = configured_release(stored)
    yield SeriesResult(*infer_stored(uid, release, config_for(release, stored)))


def _table(result: SeriesResult) -> pd.DataFrame:
    """Return the rows of a series: itself, its slices, its findings."""
    said = result.recommendation
    reason = said.reason.sentence if said.reason else None
    rows: list[dict[str, Any]] = [
        {"kind": "series", "verdict": said.verdict, "reason": reason, "warnings": " ".join(result.warnings) or None}
    ]
    rows += [
        {"kind": "slice", "slice_number": one.slice_number, "z_mm": one.z_mm, "rank": one.rank}
        | one.probabilities.model_dump()
        for one in said.slices
    ]
    rows += [
        {"kind": "finding", "nodule": one.probability}
        | {name: getattr(one, name) for name in FINDING_COLUMNS if name in COLUMNS}
        for one in said.findings
    ]
    uids = {"series_instance_uid": said.series_instance_uid, "study_instance_uid": said.study_instance_uid}
    return _typed([uids | row for row in rows])


def _typed(rows: list[dict[str, Any]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype({name: kind for name, kind in COLUMNS.items() if kind != "string"})
