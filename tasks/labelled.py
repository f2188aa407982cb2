"""Tell that enough new labelled series have come for a look at whether to train again."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event

from lidcflow.config import Config
from lidcflow.errors import LabelError
from lidcflow.store.volumes import VolumeStore
from tasks.labels import label_readable

LABELLED = "lidcflow.series.labelled"
FILE = "labelled-since.txt"
"""How many have come since the last event; it is a hint to look sooner, and the look itself counts exactly."""


@task(name="announce labelled series", cache_policy=NO_CACHE)
def announce_labelled(uids: Collection[str], config: Config) -> int:
    """Count those of newly stored series that have labels, and send an event once they are as many as retraining asks.

    Returns
    -------
    int
        How many have come since the last event.
    """
    if not uids:
        return 0
    since = _count(config.workspace) + _labelled(uids, config)
    if since < config.retrain.new_series:
        _keep(config.workspace, since)
        return since
    emit_event(LABELLED, resource={"prefect.resource.id": "lidcflow.store"}, payload={"series": since})
    _keep(config.workspace, 0)
    return 0


def _labelled(uids: Collection[str], config: Config) -> int:
    """Count series with labels; readings that can't be read are for the training to tell of."""
    try:
        return len(label_readable(VolumeStore.of(config).records(list(uids)), config.labels).labels)
    except LabelError:
        return 0


def _count(workspace: Path) -> int:
    try:
        return int((workspace / FILE).read_text())
    except (OSError, ValueError):
        return 0


def _keep(workspace: Path, count: int) -> None:
    aside = workspace / f".{FILE}.{secrets.token_hex(4)}"
    aside.write_text(f"{count}\n")
    aside.replace(workspace / FILE)
