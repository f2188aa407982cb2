"""A workspace as `lidcflow infer` leaves it: three readings, one of each verdict, and the volumes of two."""

import shutil
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import uvicorn

from flows.reports.server import settings
from lidcflow.config import Config, InferConfig, PreprocessConfig
from lidcflow.dicom.records import Acquisition, PixelFormat, Series, SourceSlice
from lidcflow.release.facts import ReleaseFacts
from lidcflow.report.folder import ReportKey
from lidcflow.report.page import write_report
from lidcflow.report.rank import not_evaluated, recommend
from lidcflow.store.volumes import VolumeStore
from lidcflow.volume.slabs import SlabSource, Volume

SLICES, SIZE = 65, 32
HOSTILE = "<script>document.title='x'</script><img src=x onerror=\"document.title='x'\">"
RANGES, NOTHING, REFUSED = ReportKey("1.2.1", "1.2.1.1"), ReportKey("1.2.2", "1.2.2.1"), ReportKey("1.2.3", "1.2.3.1")
PREPROCESS = PreprocessConfig(slices=SLICES, size=SIZE)


FACTS = ReleaseFacts(
    name="lidcflow",
    version=3,
    threshold_nodule=0.5,
    sector_num=2,
    backbone_id="compact-0123456789ab-projections-128",
    preprocess_digest=PREPROCESS.digest,
    synthetic=False,
)
NODULE = {RANGES: np.full(SLICES, 0.1), NOTHING: np.full(SLICES, 0.1)}
NODULE[RANGES][[5, 6, 20, 21, 22, 50]] = [0.6, 0.7, 0.8, 0.95, 0.8, 0.55]
"""P(nodule) of the two volumes: ranges 6-7, 21-23 and 51, and nothing."""


@pytest.fixture(scope="session")
def read_workspace(tmp_path_factory):
    """Return a workspace with the three readings; tests get copies."""
    config = Config(workspace=tmp_path_factory.mktemp("read") / "workspace", patient_key="public")
    store = VolumeStore(config.inbox_store_root, PREPROCESS)
    for key, p in NODULE.items():
        store.write(series_of(key), volume_of(key))
        probabilities = np.stack([1 - p, 0.75 * p, 0.25 * p], axis=1)
        said = recommend(probabilities, store.record(key.series), FACTS, InferConfig())
        write_report(said, store.read_hu(key.series), config.reports_path / key.study / key.series)
    sentence = f"series {REFUSED.series}: slice spacing must be uniform, got {HOSTILE}"
    refused = not_evaluated(REFUSED.series, REFUSED.study, "uneven-spacing", sentence, FACTS)
    write_report(refused, None, config.reports_path / REFUSED.study / REFUSED.series)
    return config.workspace


@pytest.fixture
def config(read_workspace, tmp_path):
    """Return the configuration of a workspace with the three readings."""
    return Config(workspace=shutil.copytree(read_workspace, tmp_path / "workspace"), patient_key="public")


def series_of(key):
    """Two source images in a slice of 5 mm, by a scanner that calls itself a script."""
    pixels = PixelFormat(rows=512, columns=512, bits_stored=16, signed=True)
    slices = tuple(
        SourceSlice("", f"{key.series}.{n}", n, 2.5 * (1 - n), 1.0, -1024.0, 0, 0, pixels)
        for n in range(1, 2 * SLICES + 1)
    )
    return Series(
        series_instance_uid=key.series,
        study_instance_uid=key.study,
        frame_of_reference_uid=None,
        patient_key="cb120ad193263e76",
        slices=slices,
        rows=512,
        columns=512,
        row_spacing_mm=0.7,
        column_spacing_mm=0.7,
        slice_spacing_mm=2.5,
        acquisition=replace(Acquisition(), manufacturer=HOSTILE, kernel=HOSTILE),
        synthetic=False,
        fingerprint="0" * 64,
    )


def volume_of(key):
    """Noise like lung, with a square that gets brighter from slice to slice."""
    hu = np.random.default_rng(0).normal(-800, 40, (2, SLICES, SIZE, SIZE)).astype(np.int16)
    hu[:, :, 8:24, 8:24] = np.linspace(-700, 400, SLICES, dtype=np.int16)[:, None, None]
    hu[1] += 100
    images = [(2 * k + 1, 2 * k + 2) for k in range(SLICES)]
    sources = tuple(
        tuple(SlabSource(f"{key.series}.{n}", n, 2.5 * (1 - n), 0.5) for n in numbers) for numbers in images
    )
    return Volume(hu, 1.25 - 5.0 * np.arange(SLICES + 1), sources)


@contextmanager
def serving(config):
    """Serve reports on a free port of loopback; gives the address."""
    server = uvicorn.Server(settings(config, port=0))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
