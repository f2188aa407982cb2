"""Bring every usable series of a source into the store."""

import time
from typing import Annotated

from pydantic import BaseModel

from flows.config import ParameterHelp, Settings, resolve_config, resolve_source
from flows.flow import flow
from flows.missing import preprocess_missing
from flows.missing_series import check_source_and_store
from flows.mixed import without_mixed_series
from lidcflow.catalog.locks import at_work
from lidcflow.dicom.records import Collection, VerdictReason
from lidcflow.report.pixel_warnings import pixel_warnings
from lidcflow.series.verdicts import Index, OtherFiles
from lidcflow.source.places import parse_source
from lidcflow.store.address import StoreAddress, training_store
from tasks.index import index_source
from tasks.labels import announce_labelled
from tasks.preprocessed import Preprocessed
from tasks.publish import MOST_ROWS, publish_table
from tasks.run_page import name_run


class RefusedSeries(BaseModel):
    """A series that could not be used, and why."""

    series_instance_uid: str
    reason: str
    sentence: str


class FlaggedSeries(BaseModel):
    """A stored series whose pixels look wrong, and how."""

    series_instance_uid: str
    flags: tuple[str, ...]
    sentence: str


class PreprocessReport(BaseModel):
    """Results for the series of a source.

    Parameters
    ----------
    found, usable : int
        CT series, and those of them that can be used.
    done, reused : int
        Volumes that were made, and volumes that were there already.
    verified : int
        Of the reused ones, those whose files had changed: their pixels were read again, and are the same.
    completed : int
        Of the reused ones, those that had no nodule candidates yet: their pixels were read again to find them.
    refused : list of RefusedSeries
        CT series that could not be used, at the index or later.
    others : dict
        Series that are passed over, by modality: X-rays, plans, reports, localizers.
    beside : OtherFiles
        Files beside the images.
    collections : tuple of Collection
        What was taken of the public archive.
    """

    found: int
    usable: int
    done: int
    reused: int
    verified: int = 0
    completed: int = 0
    refused: list[RefusedSeries]
    flagged: list[FlaggedSeries] = []
    others: dict[str, int] = {}
    beside: OtherFiles = OtherFiles()
    collections: tuple[Collection, ...] = ()
    seconds: float
    notice: str = "Research use only."


@flow(name="preprocess")
def preprocess(
    source: Annotated[
        str | None, ParameterHelp("Where the images are; nothing: the archive of the configuration.")
    ] = None,
    config: Settings = None,
) -> PreprocessReport:
    """Bring every usable series of a source into the store of the workspace.

    Parameters
    ----------
    source : str, optional
        Where the images are; by default the archive of the configuration.
    config : Config, optional
        Settings over those of the worker.
    """
    started_s, config = time.monotonic(), resolve_config(config)
    images = parse_source(resolve_source(source, config.archive, "archive"), config.access)
    store = training_store(config)
    check_source_and_store(images, store)
    with at_work(config.workspace, "preprocess", catalog=config.catalog):
        index = without_mixed_series(index_source(images, config), config)
        name_run(f"preprocess {len(index.usable)} series", config)
        brought = preprocess_missing(index, config, store)
    announce_labelled(brought.committed, config)
    report = publish_preprocessed(index, brought, seconds=time.monotonic() - started_s)
    return report.model_copy(update={"flagged": flagged_series(brought, store)})


def flagged_series(brought: Preprocessed, store: StoreAddress) -> list[FlaggedSeries]:
    """Return the stored series whose pixels look wrong, with a sentence for each; only their full records are read."""
    uids = sorted(brought.flagged)
    records = store.open().records(uids)
    return [
        FlaggedSeries(
            series_instance_uid=uid,
            flags=brought.flagged[uid],
            sentence=" ".join(one.sentence for one in pixel_warnings(record)),
        )
        for uid, record in zip(uids, records, strict=True)
    ]


def publish_preprocessed(index: Index, brought: Preprocessed, *, seconds: float) -> PreprocessReport:
    """Sum up, and put the refused series on the run's page."""
    refused = [
        RefusedSeries(series_instance_uid=verdict.series_instance_uid, reason=verdict.reason, sentence=verdict.sentence)
        for verdict in index.refused
    ]
    refused += [
        RefusedSeries(series_instance_uid=uid, reason=refusal.reason, sentence=refusal.sentence)
        for uid, refusal in brought.refused.items()
    ]
    shown = [
        series.model_dump() for series in refused if series.reason != VerdictReason.ERASED
    ]  # Prefect would keep the rest
    publish_table("refused-series", shown, _table_title(len(shown)))
    return PreprocessReport(
        found=len(index.in_question),
        usable=len(index.usable),
        done=len(brought.committed),
        reused=len(brought.reused) + len(brought.verified) + len(brought.completed),
        verified=len(brought.verified),
        completed=len(brought.completed),
        refused=refused,
        others=index.others,
        beside=index.beside,
        collections=index.collections,
        seconds=round(seconds, 3),
    )


def _table_title(refused: int) -> str:
    more = refused - MOST_ROWS
    return "Series that could not be used" + (f"; {more} more are in the catalog" if more > 0 else "")
