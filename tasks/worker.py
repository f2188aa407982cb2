"""Preprocess one series in a worker process; Prefect and TensorFlow are not imported here."""

from lidcflow.config import Access, PreprocessConfig
from lidcflow.dicom.records import Series
from lidcflow.store.volumes import VolumeStore
from lidcflow.volume.reduce import reduce_series, require_content


def preprocess_series(series: Series, *, store_root: str, config: PreprocessConfig, access: Access) -> str:
    """Reduce one series and commit it to the store; one that is there already is left as it is.

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
    if current := store.current_summary(series):
        return current.volume_digest
    volume = reduce_series(series, config, access)
    require_content(series, volume)
    return store.write(series, volume)
