"""Open a store of volumes, in a folder or a bucket."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
import zarr
from pydantic import ValidationError

from lidcflow.config import LIDC, Access, LabelConfig
from lidcflow.config.base import fault_in
from lidcflow.config.file import load_config
from lidcflow.errors import ConfigError, LabelError, StoreError
from lidcflow.labels.collect import collect_nodules
from lidcflow.labels.slices import slab_labels
from lidcflow.store.locate import is_store
from lidcflow.store.volumes import VolumeStore
from tasks.api.volume import label_array, source_table, volume_array


class Store:
    """The volumes of a store; nothing is written to it.

    Get one from `open_store` or `preprocess`.

    Parameters
    ----------
    volumes : VolumeStore
        The opened store.

    Examples
    --------
    >>> store = lf.open_store("lidcflow-workspace/store")  # doctest: +SKIP
    >>> store.volume(store.series[0]).sel(channel="mean", slice=30).plot.imshow(cmap="gray")  # doctest: +SKIP
    """

    def __init__(self, volumes: VolumeStore) -> None:
        self._volumes = volumes

    @property
    def place(self) -> str:
        """Folder or URL of the store."""
        return self._volumes.root

    @property
    def series(self) -> list[str]:
        """SeriesInstanceUIDs of the stored series, in order."""
        return self._volumes.series_uids()

    @property
    def zarr(self) -> zarr.Group:
        """The whole store as a Zarr group that can only be read; ``series/<SeriesInstanceUID>/0`` is a volume in HU."""
        return self._volumes.zarr

    def table(self) -> pd.DataFrame:
        """Return a row for each stored series: UIDs, pseudonym of the patient, size, spacing, scanner and flags."""
        kept = ("study_instance_uid", "patient_key", "synthetic", "rows", "columns", "slice_spacing_mm", "flags")
        rows = {
            one.series_instance_uid: {name: getattr(one, name) for name in kept} | one.acquisition
            for one in self._volumes.summaries(self.series)
        }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("series_instance_uid")

    def volume(self, series_instance_uid: str, *, level: int = 0) -> xr.DataArray:
        """Read a volume.

        Parameters
        ----------
        series_instance_uid : str
            A stored series.
        level : int
            0: all rows and columns; 1: half of them.

        Returns
        -------
        xarray.DataArray
            HU as int16, dimensions (channel, slice, row, column), with the positions in mm as coordinates; see
            `tasks.api.volume.volume_array`.

        Raises
        ------
        StoreError
            If the series is not in the store.
        ValueError
            If there is no such level.
        """
        if level not in (0, 1):
            raise ValueError(f"volume: level must be 0 or 1, got {level}; 0 has all rows and columns")
        record = self._volumes.record(series_instance_uid)
        hu = self._volumes.read_levels(series_instance_uid)[1] if level else self._volumes.read_hu(series_instance_uid)
        return volume_array(hu, record)

    def sources(self, series_instance_uid: str, slice_number: int | None = None) -> pd.DataFrame:
        """Return the source images behind the slices of a series.

        Parameters
        ----------
        series_instance_uid : str
            A stored series.
        slice_number : int, optional
            One slice, from 1 at the top of the chest; by default all.

        Returns
        -------
        pandas.DataFrame
            A row for each source image of a slice: ``slice``, ``sop_instance_uid``, ``instance_number``,
            ``frame_number``, ``z_mm``, and its share of the slice, ``weight``. An image between two slices has two
            rows.

        Raises
        ------
        StoreError
            If the series is not in the store.
        ValueError
            If there is no such slice.
        """
        record = self._volumes.record(series_instance_uid)
        table = source_table(record)
        if slice_number is None:
            return table
        if slice_number not in range(1, len(record.sources) + 1):
            raise ValueError(f"sources: slice must be 1 to {len(record.sources)}, got {slice_number}; 1 is the top")
        return table[table["slice"] == slice_number].reset_index(drop=True)

    def labels(self, series_instance_uid: str, annotations: str | Path = LIDC, *, min_readers: int = 1) -> xr.DataArray:
        """Return the label of each slice from radiologists' annotations.

        Parameters
        ----------
        series_instance_uid : str
            A stored series.
        annotations : str or Path
            ``"lidc"`` for the annotations of LIDC-IDRI, which come with lidcflow; else a file or a folder of CSV, LIDC
            XML, DICOM SEG or SR.
        min_readers : int
            Radiologists who must have marked a nodule for it to count.

        Returns
        -------
        xarray.DataArray
            0 non-nodule, 1 benign, 2 malignant; dimension ``slice`` with the coordinates of the volume.

        Raises
        ------
        StoreError
            If the series is not in the store.
        LabelError
            If the series has no annotations, or some that don't fit its images.
        ConfigError
            If `min_readers` is not 1 to 4, the number of radiologists who read LIDC-IDRI.
        """
        record = self._volumes.record(series_instance_uid)
        try:
            config = LabelConfig(source=str(annotations), min_readers=min_readers)
        except ValidationError as error:
            raise ConfigError(f"labels: {fault_in(error, LabelConfig)}") from None
        collected = collect_nodules([record], config.sources)
        if (nodules := collected.nodules.get(series_instance_uid)) is None:
            raise LabelError(collected.left_out[series_instance_uid])
        labels = slab_labels(record.edges_mm, nodules, record.slice_spacing_mm / 2, config)
        return label_array(labels.astype(np.int8), record)

    def __len__(self) -> int:
        return len(self.series)

    def __repr__(self) -> str:
        return f"<lidcflow store {self.place}: {len(self)} series>"


def open_store(place: str | Path, *, config: str | Path | None = None) -> Store:
    """Open a store of volumes to read it.

    Parameters
    ----------
    place : str or Path
        Folder of the store, such as ``lidcflow-workspace/store``, or ``s3://bucket/prefix``.
    config : str or Path, optional
        Configuration file that says how buckets are reached; keys come from the environment.

    Returns
    -------
    Store
        The volumes, made with whatever preprocessing the store was made with.

    Raises
    ------
    StoreError
        If there is no store, or the place is an empty text.
    StoreMismatch
        If another version of lidcflow made it, with a preprocessing that this version does not know.
    ResourceError
        If the bucket does not answer.

    Examples
    --------
    >>> lf.open_store("s3://hospital/lidcflow/store")  # doctest: +SKIP
    <lidcflow store s3://hospital/lidcflow/store: 1010 series>
    """
    access = Access() if config is None else load_config(Path(config)).access
    if found := VolumeStore.found(place, access):
        return Store(found)
    inside = [name for name in ("store", "inbox-store") if _is_folder_store(place, name)]
    named = " or ".join(f"{place}/{name}" for name in inside)
    raise StoreError(
        f"store {place if str(place).strip() else repr(place)}: must be the folder or URL of a store, got none; "
        + (f"this is a workspace, open {named}" if inside else "check the path, or make one with lf.preprocess")
    )


def _is_folder_store(place: str | Path, name: str) -> bool:
    return "://" not in str(place) and is_store(Path(place) / name)
