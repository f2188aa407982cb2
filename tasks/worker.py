"""What a worker process does with one series: neither Prefect nor TensorFlow is imported there."""

from lidcflow.config import Access, PreprocessConfig
from lidcflow.ct.reduce import reduce_series, require_content
from lidcflow.ct.series import Series
from lidcflow.store.volumes import VolumeStore


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
