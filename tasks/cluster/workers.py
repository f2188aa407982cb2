"""Which workers of a cluster may work for a flow: those that have its packages and reach its files."""

from __future__ import annotations

import hashlib
import logging
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import cloudpickle
from distributed import Client

from lidcflow.dicom.records import Series
from lidcflow.errors import ResourceError
from lidcflow.source.location import OnDisk, location_of
from lidcflow.store.address import StoreAddress
from lidcflow.store.locate import store_place
from lidcflow.store.place import GUARD
from tasks.cluster import join as cluster_join
from tasks.cluster.join import GPU, LEARNING, PACKAGES, Files, JoinCheck, Question, join_result, versions_here
from tasks.cluster.local import Purpose

cloudpickle.register_pickle_by_value(cluster_join)

MOST_TOLD = 3
"""Faults in one error; the others are alike."""


@dataclass(frozen=True)
class Members:
    """The workers that may work for a flow: how many they are, and which resources its work asks for."""

    workers: int
    resources: dict[str, float]


def files_of(store: StoreAddress, series: Series | None = None) -> Files:
    """Return what workers must reach: the store, where there is one, and a series' images."""
    access = store.access.model_dump_json()
    sample = _sample(series)
    try:
        marker = store_place(store.root, store.access).guard()
    except FileNotFoundError:
        return Files(sample=sample, access=access)
    on_disk = int((store.folder / GUARD).stat().st_mtime) if store.folder else None
    return Files(store.root, hashlib.sha256(marker).hexdigest(), on_disk, sample, access)


def question_for(purpose: Purpose, files: Files, *, gpus: int) -> Question:
    """Return what workers are asked for a purpose; TensorFlow matters to those alone that learn."""
    packages = PACKAGES if purpose == "preprocess" else (*PACKAGES, *LEARNING)
    return Question(versions_here(packages), files, needs_gpu=purpose != "preprocess" and gpus > 0)


@contextmanager
def members(client: Client, place: str, question: Question) -> Iterator[Members]:
    """Check the present workers, and each that joins during the block; report those that cannot take part.

    Raises
    ------
    ResourceError
        If none can.
    """
    plugin, log = f"{question.name}-{uuid.uuid4().hex[:8]}", flow_log()
    client.register_plugin(JoinCheck(question), name=plugin)
    try:
        faults, able = _answers(client, plugin, question)
        if not able:
            raise _nobody(place, faults)
        for sentence in faults:
            log.warning("%s; it gets no work of this run", sentence)
        client.subscribe_topic(question.name, _Teller(log, set(faults)))
        yield Members(len(able), _resources(able, question))
    finally:
        with suppress(OSError, ValueError):  # a scheduler that went away, or that was started since, knows none
            client.unregister_worker_plugin(plugin)


def flow_log() -> logging.Logger | logging.LoggerAdapter[Any]:
    """Return the log of the flow run, where there is one; a process that has not imported Prefect is in no run."""
    own = logging.getLogger("lidcflow")
    if (prefect := sys.modules.get("prefect")) is None:
        return own
    try:
        found: logging.LoggerAdapter[Any] = prefect.get_run_logger()
    except prefect.exceptions.MissingContextError:
        return own
    return found


class _Teller:
    """Warns of workers that join later and can't take part, of each once."""

    def __init__(self, log: logging.Logger | logging.LoggerAdapter[Any], told: set[str]) -> None:
        self._log, self._told = log, told

    def __call__(self, event: tuple[float, str]) -> None:
        _, sentence = event
        if sentence not in self._told:
            self._told.add(sentence)
            self._log.warning("%s; it gets no work of this run", sentence)


def _answers(client: Client, plugin: str, question: Question) -> tuple[list[str], dict[str, bool]]:
    """Return the faults, and the able workers' addresses with whether they offer a GPU."""
    names = {address: facts["name"] for address, facts in client.scheduler_info()["workers"].items()}
    faults, able = [], {}
    for address, answer in client.run(join_result, plugin, on_error="return").items():
        fault, gpu = answer if isinstance(answer, tuple) else (_unanswered(answer), True)
        if question.needs_gpu and not gpu:
            continue
        if fault:
            faults.append(f"worker {names.get(address, address)} at {address}: {fault}")
        else:
            able[address] = gpu
    return faults, able


def _unanswered(error: Any) -> str:
    return f"must say whether it can take part, got {type(error).__name__}: {error}; start it again"


def _resources(able: Mapping[str, bool], question: Question) -> dict[str, float]:
    """Ask for a GPU where that is wanted, and keep away from the GPUs' workers where it is not and others are there."""
    if question.needs_gpu:
        return {question.name: 1, GPU: 1}
    spares_gpus = any(able.values()) and not all(able.values())
    return {question.without_gpu if spares_gpus and not _learns(question) else question.name: 1}


def _learns(question: Question) -> bool:
    return LEARNING[0] in question.versions


def _nobody(place: str, faults: list[str]) -> ResourceError:
    if not faults:
        return ResourceError(
            f"Dask cluster {place}: a worker must offer the resource GPU as cluster.gpus says, got none; start "
            "workers with --resources GPU=1, or set cluster.gpus to 0"
        )
    more = len(faults) - MOST_TOLD
    told = "; ".join(faults[:MOST_TOLD]) + (f"; and {more} more" if more > 0 else "")
    return ResourceError(f"Dask cluster {place}: a worker must be able to take part, got none: {told}")


def _sample(series: Series | None) -> str | None:
    location = location_of(series.slices[0].path) if series else None
    return location.path if isinstance(location, OnDisk) else None
