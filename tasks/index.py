"""Index a source: every series with its verdict."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from lidcflow.config import Config
from lidcflow.ct.series import Index
from tasks.source import find_series


@task(name="index", cache_policy=NO_CACHE)
def index_source(source: str, config: Config) -> Index:
    """Read every header under `source` and judge each series."""
    return find_series(source, config)
