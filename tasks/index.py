"""Index a source: every series with its verdict."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from lidcflow.config import Config
from lidcflow.ct.series import Index, index_folder
from lidcflow.privacy import load_secret
from tasks.cluster import local_workers
from tasks.progress import stage
from tasks.source import source_folder


@task(name="index", cache_policy=NO_CACHE)
def index_source(source: str, config: Config) -> Index:
    """Read every header under `source` and judge each series."""
    return find_series(source, config)


def find_series(source: str, config: Config) -> Index:
    """Do what `index_source` does, outside of any flow.

    Raises
    ------
    SourceError
        If the source is not a folder, or holds no DICOM image.
    """
    folder = source_folder(source)
    with stage("index") as indexing:
        return index_folder(
            folder,
            secret=load_secret(config.patient_key, config.workspace),
            gaps=config.preprocess.gaps,
            on_progress=indexing.reach,
            workers=local_workers(config.cluster),
        )
