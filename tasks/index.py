"""Index a source: every series with its verdict."""

from collections.abc import Sequence

from prefect import task
from prefect.cache_policies import NO_CACHE

from lidcflow.config import Config
from lidcflow.errors import EmptySource
from lidcflow.series.verdicts import Index
from lidcflow.source.places import ImageSource
from tasks.source import check_holds_ct, find_in_places, find_series


@task(name="index", cache_policy=NO_CACHE)
def index_source(source: ImageSource, config: Config, *, allow_empty: bool = False) -> Index:
    """Read every header under `source` and judge each series.

    A source without CT is an error unless it may be empty.
    """
    try:
        found = find_series(source, config)
    except EmptySource:
        if not allow_empty:
            raise
        return Index(())
    if not allow_empty:
        check_holds_ct(source, found)
    return found


@task(name="index-places", cache_policy=NO_CACHE)
def index_places(name: str, places: Sequence[ImageSource], config: Config) -> Index:
    """Read the headers of several places of a source; places that hold nothing any more are no error."""
    try:
        return find_in_places(name, places, config)
    except EmptySource:
        return Index(())
