"""Preprocess one series with nodule candidates; separate from `tasks.worker`, because importing SciPy takes 0.2 s."""

from __future__ import annotations

from lidcflow.config import Access, PreprocessConfig
from lidcflow.dicom.records import Series
from lidcflow.nodules.gather import ScanGatherer
from lidcflow.nodules.stored import found_in
from lidcflow.nodules.table import SCHEMA
from lidcflow.store.volumes import VolumeStore
from lidcflow.volume.reduce import reduce_series, require_content


def preprocess_with_candidates(series: Series, *, store_root: str, config: PreprocessConfig, access: Access) -> str:
    """Reduce one series, find its candidates in the same reading, and commit both; what is there is left as it is.

    A volume without candidates, or with those of an older schema, gets them, and is the same.

    Returns
    -------
    str
        Digest of the stored volume.

    Raises
    ------
    SeriesRefused
        If its pixels can't be read, or show nothing.
    ResourceError
        If the storage of its files does not answer.
    """
    store = VolumeStore(store_root, config, create=False, access=access)
    if (current := store.current_summary(series)) and current.candidates >= SCHEMA:
        return current.volume_digest
    gathered = ScanGatherer(series)
    volume = reduce_series(series, config, access, gathered.add)
    require_content(series, volume)
    return store.write(series, volume, found_in(gathered, series, volume.edges_mm))
