"""Poll every source of the inbox, process what is complete, and deliver each answer once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated, cast

from flows.config import (
    ParameterHelp,
    Settings,
    is_of_a_deployment,
    resolve_config,
    resolve_source,
    with_inference_cluster,
)
from flows.deliver import InboxSession, waiting_for_targets
from flows.flow import flow
from flows.inbox_batches import process_batch, split_batches
from flows.inbox_report import InboxReport, RoundFailed, counts_line, publish_round, round_of, state_of
from flows.service.notified import run_again_if_notified
from lidcflow.catalog.locks import at_work
from lidcflow.config import Config
from lidcflow.errors import LidcflowError, PacsUnavailable, ReleaseError
from lidcflow.inbox.delivery import ANSWERED, Delivery
from lidcflow.inbox.ledger import Ledger
from lidcflow.inbox.reach import PacsAvailability
from lidcflow.inbox.targets import DeliveryTarget, FolderTarget, parse_target
from lidcflow.release.record import ReleaseRecord
from lidcflow.series.verdicts import Index
from lidcflow.source.places import ImageSource, parse_source
from lidcflow.store.address import inbox_store
from tasks.arrivals import recorded
from tasks.cluster.open import cluster_for
from tasks.documents import check_documents
from tasks.inbox import poll_source
from tasks.infer_series import config_for
from tasks.run_page import name_run
from tasks.tracking.in_force import configured_release
from tasks.tracking.model_files import check_models
from tasks.tracking.place import Tracking

POLLED_WITHIN_S = 120.0
"""Time that a deployment's run waits for the poller of `lidcflow up` to finish its look."""


@flow(name="inbox", on_completion=[run_again_if_notified], on_failure=[run_again_if_notified])
def inbox(
    sources: Annotated[
        tuple[str, ...] | None, ParameterHelp("Where new studies come; nothing: the inboxes of the configuration.")
    ] = None,
    config: Settings = None,
    complete: Annotated[
        bool, ParameterHelp("Read what is there at once: whoever starts the run knows that no image is missing.")
    ] = False,
) -> InboxReport:
    """Poll every source, and process each complete series once per state of its images and release.

    Parameters
    ----------
    sources : tuple of str, optional
        Where new studies come; by default the inboxes of the configuration.
    config : Config, optional
        Settings over those of the worker.
    complete : bool
        Read what is there at once, without the time in which a study must be quiet.

    Raises
    ------
    RoundFailed
        If every series of the round failed; it holds the report.
    """
    config = with_inference_cluster(resolve_config(config))
    config = without_waiting(config) if complete else config
    sources = sources or config.inboxes or (resolve_source(None, None, "inbox"),)
    name_run("inbox: read what is complete", config)
    with recorded(config.catalog) as record:
        report = go_round([parse_source(source, config.access) for source in sources], config)
        record(round_of(report))
    name_run(f"inbox: {counts_line(report)}, with {report.release}", config)
    return cast(InboxReport, state_of(report))  # callers of a flow get the data of the state that it returns


def without_waiting(config: Config) -> Config:
    """Return the configuration of a round that takes every study for complete."""
    return config.model_copy(update={"delivery": config.delivery.model_copy(update={"settle_s": 0.0})})


def inbox_report(config: Config) -> InboxReport:
    """Go through the configured inboxes; a round that failed throughout has a report all the same."""
    try:
        return inbox(config.inboxes, config)
    except RoundFailed as failed:
        return failed.report


def go_round(sources: Sequence[ImageSource], config: Config) -> InboxReport:
    """Poll every source, and process the complete series with the active release."""
    started_s = time.monotonic()
    targets = tuple(parse_target(target, config.access) for target in config.delivery.to)
    check_delivery(sources, targets)
    release = release_for(sources, config)
    patience_s = POLLED_WITHIN_S if is_of_a_deployment() else None
    turn = at_work(config.workspace, "inbox", alone=True, catalog=config.catalog, patience_s=patience_s)
    with turn, Ledger(config.catalog) as ledger:
        by_text = {source.text: source for source in sources}
        session = InboxSession(ledger, release, config_for(release, config), PacsAvailability(), by_text, targets)
        indexes, unreachable = poll_all(sources, session)
        answered = process_waiting(sources, indexes, session)
        return publish_round(answered, session, unreachable, seconds=time.monotonic() - started_s)


def release_for(sources: Sequence[ImageSource], config: Config) -> ReleaseRecord:
    """Return the release in force.

    Raises
    ------
    ReleaseError
        If there is none; a source that is missing too is named first.
    """
    try:
        return configured_release(config)
    except ReleaseError as error:
        faults = [*missing_sources(sources), str(error)]
        raise ReleaseError("; also ".join(faults)) from None


def missing_sources(sources: Sequence[ImageSource]) -> Iterator[str]:
    """Yield a sentence for each source that can't be read."""
    for source in sources:
        try:
            source.check()
        except LidcflowError as error:
            yield f"inbox: {error}"


def check_delivery(sources: Sequence[ImageSource], targets: Sequence[DeliveryTarget]) -> None:
    """Raise for a target that can't be right; a folder that is gone for now puts off what is to be delivered there.

    Raises
    ------
    ConfigError
        If one lies in a source: answers would be read as new series.
    SourceError
        If a PACS is not in the configuration.
    """
    for target in targets:
        if isinstance(target, FolderTarget):
            for source in sources:
                check_documents(source, target.folder, key="delivery.to")
        else:
            target.check()


def poll_all(sources: Sequence[ImageSource], session: InboxSession) -> tuple[dict[str, Index | None], list[str]]:
    """Poll each source; an unavailable one does not affect the others and is polled again in the next round."""
    indexes: dict[str, Index | None] = {}
    unreachable: list[str] = []
    for source in sources:
        if why := session.reach.why_away(source):
            unreachable.append(why)
            continue
        try:
            indexes[source.text] = poll_source(source, session.config, session.ledger, session.release.version)
        except LidcflowError as error:
            unreachable.append(str(error))
            if isinstance(error, PacsUnavailable):
                session.reach.lose(source, error)
    return indexes, unreachable


def process_waiting(
    sources: Sequence[ImageSource], indexes: Mapping[str, Index | None], session: InboxSession
) -> list[Delivery]:
    """Answer what waits, on one cluster; return every delivery as it stands afterwards.

    A delivery whose earlier answer stands is not among them.
    """
    waiting = [one for source in sources if source.text in indexes for one in session.ledger.waiting(source.text)]
    stuck = waiting_for_targets(waiting, session)
    due = [one for one in waiting if one.id not in stuck]
    if due:
        # Found here, a changed model costs no series an attempt: what waits is answered once the model is back.
        check_models(Tracking.of(session.config), session.release)
        with on_one_cluster(session) as ready:
            for batch in split_batches(due):
                source = ready.sources[batch[0].source]
                if not ready.reach.is_known_away(source):
                    process_batch(batch, source, indexes[source.text], ready)
    before = {one.id: one.delivered for one in waiting}
    after = session.ledger.again(before.keys())
    return [one for one in after if one.step not in ANSWERED or one.delivered != before[one.id]]


@contextmanager
def on_one_cluster(session: InboxSession) -> Iterator[InboxSession]:
    """Keep one cluster for the whole round: its processes load Keras and the models once."""
    config = session.config
    with cluster_for(config, "read", inbox_store(config)) as cluster:
        here = config.model_copy(update={"cluster": config.cluster.at(cluster.address)})
        yield replace(session, config=here)
