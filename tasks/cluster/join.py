"""Check a worker that joins a flow: does it have the flow's packages, and can it reach the flow's files?

All of this module travels to the workers by value, since one without lidcflow must be able to answer too: it imports
nothing of lidcflow, but for a moment in a worker that has the same version.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from distributed import Status, WorkerPlugin

if TYPE_CHECKING:
    from distributed import Worker

GPU = "GPU"
ANSWER_WITHIN_S = 30
"""A file system that hangs would hold up the worker's own messages, and with them the whole cluster."""

PACKAGES = ("lidcflow", "distributed", "dask", "numpy", "zarr", "numcodecs", "obstore", "pydicom")
LEARNING = ("keras", "tensorflow")
ALSO_NAMED = {"tensorflow": ("tensorflow", "tensorflow-cpu")}


@dataclass(frozen=True)
class Files:
    """Places that workers have to reach.

    Parameters
    ----------
    store : str, optional
        Folder, or ``s3://bucket/prefix``.
    marker : str
        SHA-256 of the file that makes it a store.
    written_s : int, optional
        When that file was written, where the store is a folder: another store of the same settings differs in it.
    sample : str, optional
        Path of a source's file, where the source is a folder.
    access : str
        How buckets are reached, as JSON.
    """

    store: str | None = None
    marker: str = ""
    written_s: int | None = None
    sample: str | None = None
    access: str = "{}"


@dataclass(frozen=True)
class Question:
    """Requirements of a flow on workers; `name` is the resource that workers offer which meet them."""

    versions: Mapping[str, str]
    files: Files
    needs_gpu: bool
    name: str = field(init=False)

    def __post_init__(self) -> None:
        asked = repr((sorted(self.versions.items()), self.files, self.needs_gpu))
        object.__setattr__(self, "name", f"lidcflow-{hashlib.sha256(asked.encode()).hexdigest()[:12]}")

    @property
    def without_gpu(self) -> str:
        """Resource of those workers that offer no GPU."""
        return f"{self.name}-cpu"


class JoinCheck(WorkerPlugin):
    """Ask each worker as it joins; only one that has no fault offers the resource that the flow's work needs."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self.fault = ""

    async def setup(self, worker: Worker) -> None:
        """Run the checks, and offer the resource or report the fault."""
        gpu = worker.state.total_resources.get(GPU, 0)
        self.fault = await self._fault()
        wanted = not self.fault and (gpu or not self.question.needs_gpu)
        places = float(worker.state.nthreads) if wanted else 0.0
        await _offer(worker, {self.question.name: places, self.question.without_gpu: 0.0 if gpu else places})
        if self.fault and (gpu or not self.question.needs_gpu):
            worker.log_event(self.question.name, f"worker {worker.name} at {worker.address}: {self.fault}")

    async def _fault(self) -> str:
        try:
            return await asyncio.wait_for(asyncio.to_thread(fault_here, self.question), ANSWER_WITHIN_S)
        except TimeoutError:
            return (
                f"must reach the store and the source, got no answer within {ANSWER_WITHIN_S} s; look at its file "
                "systems and its network"
            )


def join_result(plugin: str, dask_worker: Worker) -> tuple[str, bool]:
    """Return the fault that a worker found with itself, and whether it offers a GPU."""
    return cast(JoinCheck, dask_worker.plugins[plugin]).fault, bool(dask_worker.state.total_resources.get(GPU, 0))


def versions_here(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of Python and of those packages that are installed.

    Examples
    --------
    >>> sorted(versions_here(["numpy", "no-such-package"]))
    ['numpy', 'python']
    """
    found = {"python": f"{sys.version_info.major}.{sys.version_info.minor}"}
    for package in packages:
        for name in ALSO_NAMED.get(package, (package,)):
            try:
                found.setdefault(package, metadata.version(name))
            except metadata.PackageNotFoundError:
                continue
    return found


def fault_here(question: Question) -> str:
    """Describe in a sentence what keeps this process from the work, or nothing."""
    here = versions_here(question.versions)
    differing = [
        f"{name} {here.get(name, 'not installed')} (the flow has {wanted})"
        for name, wanted in question.versions.items()
        if here.get(name) != wanted
    ]
    if differing:
        return (
            f"must have the flow's packages, got {', '.join(differing)}; install the same lock file or image in both "
            "places"
        )
    return _fault_of_store(question.files) or _fault_of_sample(question.files.sample)


def _fault_of_store(files: Files) -> str:
    if files.store is None:
        return ""
    must = f"must reach the store {files.store}"
    if "://" in files.store:
        return _fault_of_bucket(files, must)
    marker = Path(files.store) / "lidcflow.json"
    way_out = "mount the flow's folder there, at the same path"
    try:
        content, written_s = marker.read_bytes(), int(marker.stat().st_mtime)
    except OSError as error:
        return f"{must}, got {error.strerror or type(error).__name__} there; {way_out}"
    if hashlib.sha256(content).hexdigest() != files.marker or written_s != files.written_s:
        return f"{must}, got another store at that path; {way_out}"
    if not os.access(files.store, os.W_OK):
        return f"{must} to write there, got leave to read alone; run it as a user who may write"
    return ""


def _fault_of_bucket(files: Files, must: str) -> str:
    from lidcflow.store.locate import bucket_guard  # by now it is known that the worker has lidcflow

    try:
        content = bucket_guard(str(files.store), files.access)
    except Exception as error:
        return (
            f"{must}, got {type(error).__name__}: {error}; give it AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in its "
            "environment, and a way to the endpoint"
        )
    same = hashlib.sha256(content).hexdigest() == files.marker
    return "" if same else f"{must}, got another store of that name; check access.s3.endpoint"


def _fault_of_sample(sample: str | None) -> str:
    """Check that one image of the source can be found; its path may contain a name and is not reported."""
    if sample is None or os.access(sample, os.R_OK):
        return ""
    return "must read the source's images, got none at the flow's path; mount the source there, at the same path"


async def _offer(worker: Any, resources: dict[str, float]) -> None:
    """Offer resources, and let the scheduler look again for a worker for what waits: it does so when one resumes."""
    if all(worker.state.total_resources.get(name) == amount for name, amount in resources.items()):
        return
    await worker.set_resources(**resources)
    if any(resources.values()) and not worker.state.tasks:
        worker.status = Status.paused
        worker.status = Status.running
