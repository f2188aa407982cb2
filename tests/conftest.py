"""Fixtures for all tests."""

from __future__ import annotations

import os
import ssl
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import NDArray
from pydicom.config import disable_value_validation
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from lidcflow.config import LabelConfig, PreprocessConfig, SplitConfig, TrainConfig
from lidcflow.objects import bucket_of
from lidcflow.release.outcome import Gate
from lidcflow.release.pins import BackbonePin, SectorPin
from lidcflow.release.record import ReleaseRecord
from lidcflow.stats.estimate import ClassCounts, SplitFigures
from tests import prefect_app
from tests.databases import catalog_url  # noqa: F401, a fixture for all tests
from tests.encoded import encode, lossless_syntax  # noqa: F401, fixtures for all tests
from tests.object_sources import archive, upload  # noqa: F401, fixtures for all tests
from tests.object_storage import ObjectStorage, object_storage
from tests.orthanc import Orthanc, is_installed, orthanc
from tests.released import released  # noqa: F401, a fixture for all tests
from tests.templates import copied_mlflow_databases, copy_prefect_database
from tests.tiny_pacs import short_delays, tiny, tiny_server  # noqa: F401, fixtures for all tests
from tests.trained import training_cluster, training_folder  # noqa: F401, fixtures for all tests
from tests.validators import dciodvfy, dsrdump  # noqa: F401, fixtures for all tests

os.environ["COLUMNS"] = "200"  # what commands print in a wide pipe, wherever the tests themselves print

settings.register_profile("lidcflow", deadline=None)
settings.load_profile("lidcflow")

COUNTS = ClassCounts(non_nodule=5, benign=2, malignant=1)
CtSeries = Callable[..., Path]
Pixels = NDArray[np.integer] | Callable[[int], Any] | float | None


@pytest.fixture(scope="session", autouse=True)
def _mlflow_databases_are_copied() -> Iterator[None]:
    """Spare every new workspace MLflow's migrations, where a test module has imported MLflow."""
    with copied_mlflow_databases() if "mlflow" in sys.modules else nullcontext():
        yield


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """Run flows against one Prefect server, started once for all tests that ask for it."""
    from prefect import flows
    from prefect.client import orchestration
    from prefect.deployments import runner
    from prefect.testing import utilities

    schemas = cache(runner.parameter_schema)
    with pytest.MonkeyPatch.context() as patch:
        for module in (flows, runner):  # one takes 0.1 s, and Prefect makes it anew for each deployment and option
            patch.setattr(module, "parameter_schema", schemas)
        patch.setattr(orchestration, "ssl", _ssl_with_one_context_a_file())
        patch.setattr(utilities, "mkdtemp", _folder_of_prefect)
        patch.setattr(utilities.SubprocessASGIServer, "_run_uvicorn_command", prefect_app.start)
        with utilities.prefect_test_harness(server_startup_timeout=120):
            yield


def _ssl_with_one_context_a_file() -> SimpleNamespace:
    """Return what Prefect's clients use of `ssl`: each reads all authorities anew, 20 ms, also for a plain address."""
    return SimpleNamespace(**vars(ssl) | {"create_default_context": cache(ssl.create_default_context)})


def _folder_of_prefect() -> str:
    """Return a new folder with a migrated database of the name that the harness expects; the harness removes it."""
    folder = tempfile.mkdtemp(prefix="lidcflow-tests-prefect-")
    copy_prefect_database(Path(folder) / "prefect-test.db")
    return folder


@pytest.fixture(scope="session")
def objects_server() -> Iterator[ObjectStorage]:
    """Run one S3-like server for all tests that ask for it: moto, or Ceph's gateway where LIDCFLOW_RADOSGW is set."""
    with ExitStack() as ends:
        gateway = None
        if os.environ.get("LIDCFLOW_RADOSGW"):
            from tests.cluster.radosgw import radosgw, why_not_radosgw

            if reason := why_not_radosgw():
                pytest.skip(reason)
            gateway = ends.enter_context(radosgw())
        yield ends.enter_context(object_storage(gateway))


@pytest.fixture
def objects(objects_server: ObjectStorage) -> ObjectStorage:
    """Return the S3-like server with an empty bucket, ``s3://bucket``, and ``objects.access`` to reach it."""
    bucket = bucket_of("s3://bucket", objects_server.access)
    bucket.delete([found["path"] for found in bucket.list().collect()])
    objects_server.requests.clear()
    return objects_server


@pytest.fixture(scope="session")
def orthanc_server() -> Iterator[Orthanc]:
    """Run one Orthanc for all tests that ask for it; they are skipped where it is not installed."""
    if not is_installed():
        pytest.skip("Orthanc with DICOMweb is not here (Debian packages orthanc and orthanc-dicomweb)")
    with orthanc() as server:
        yield server


@pytest.fixture
def pacs(orthanc_server: Orthanc) -> Orthanc:
    """Return a real PACS that holds nothing."""
    orthanc_server.clear()
    return orthanc_server


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of the real CT; tests that ask for it are skipped where it is absent."""
    root = Path(os.environ.get("LIDCFLOW_REAL_DATA", Path(__file__).parents[2] / "shared" / "real"))
    if not root.is_dir():
        pytest.skip("the real CT of ../shared/real is not here (LIDCFLOW_REAL_DATA may name its folder)")
    return root


@pytest.fixture(scope="session")
def release_record() -> ReleaseRecord:
    """Return the record of a release of two sectors of four slices each; the second one is a fallback."""
    own = SectorPin(sector=1, first_slice=1, last_slice=4, model_name="m", version=1, training=COUNTS)
    stand_in = {"sector": 2, "first_slice": 5, "last_slice": 8, "fallback": True}
    preprocess = PreprocessConfig(slices=8, size=32)
    figures = SplitFigures(patients=2, series=2, nodules=3, slices=COUNTS, release={}, sector_prior={}, uniform={})
    return ReleaseRecord(
        name="lidcflow",
        version=3,
        created=datetime(2026, 1, 2, tzinfo=UTC),
        sector_num=2,
        sectors=(own, own.model_copy(update={**stand_in, "reason": "no malignant slice in training"})),
        backbone=BackbonePin(id="compact-ab", kind="compact", digest="ab", input="gray", size=32),
        preprocess=preprocess,
        preprocess_digest=preprocess.digest,
        labels=LabelConfig(),
        split=SplitConfig(),
        train=TrainConfig(sector_num=2),
        threshold_nodule=0.25,
        snapshot_digest="cd",
        inputs_digest="ef",
        metrics={"validation": figures, "test": figures},
        gate=Gate(passed=True, reason="better", compared_with="sector prior"),
        synthetic=True,
        lidcflow_version="0.1.0",
    )


@pytest.fixture(scope="session")
def ct_series() -> CtSeries:
    """Return a writer of tiny CT series.

    ``ct_series(folder, n=10, size=32, spacing_mm=2.5, patient_id="P1", series_uid=None, hu=None, **overrides)``
    writes ``folder/000001.dcm`` (top of the chest) and so on, and returns the folder. `hu` is a value, an
    (n, size, size) array, or a function of the slice's index; by default noise that depends on folder and patient.
    Overrides are DICOM keywords: a value for all slices, a pydicom DataElement, or a function of the index; None
    leaves the element out, ... leaves it as it is.
    The UIDs depend on the folder's name and the patient.
    """
    return write_ct_series


def write_ct_series(
    folder: Path,
    *,
    n: int = 10,
    size: int = 32,
    spacing_mm: float = 2.5,
    patient_id: str = "P1",
    series_uid: str | None = None,
    hu: Pixels = None,
    syntax: str = ExplicitVRLittleEndian,
    **overrides: Any,
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    series_uid = series_uid or generate_uid(entropy_srcs=["series", folder.name, patient_id])
    noise = np.random.default_rng(list(series_uid.encode())).integers(-1000, 400, (n, size, size))
    with disable_value_validation():
        for index in range(n):
            dataset = _slice(index, size, spacing_mm, patient_id, series_uid)
            stored = np.full((size, size), _slice_hu(noise if hu is None else hu, index)) + 1024
            dataset.PixelData = stored.astype("<i2").tobytes()
            dataset.file_meta = FileMetaDataset()
            dataset.file_meta.TransferSyntaxUID = syntax
            dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
            _override(dataset, index, overrides)
            dataset.save_as(folder / f"{index + 1:06d}.dcm", enforce_file_format=True)
    return folder


def _slice_hu(hu: Any, index: int) -> Any:
    if callable(hu):
        return hu(index)
    return hu[index] if isinstance(hu, np.ndarray) else hu


def _override(dataset: Dataset, index: int, overrides: dict[str, Any]) -> None:
    for keyword, value in overrides.items():
        value = value(index) if callable(value) else value
        if value is Ellipsis:
            continue
        if value is None:
            delattr(dataset, keyword)
        elif isinstance(value, DataElement):
            dataset[keyword] = value
        else:
            setattr(dataset, keyword, value)


def _slice(index: int, size: int, spacing_mm: float, patient_id: str, series_uid: str) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=[series_uid, str(index)])
    dataset.StudyInstanceUID = generate_uid(entropy_srcs=["study", series_uid, patient_id])
    dataset.SeriesInstanceUID = series_uid
    dataset.FrameOfReferenceUID = generate_uid(entropy_srcs=["frame", series_uid])
    dataset.PatientID = patient_id
    dataset.Modality = "CT"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.Manufacturer = "Test"
    dataset.InstanceNumber = index + 1
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.ImagePositionPatient = [-100.0, -100.0, 50.0 - index * spacing_mm]
    dataset.SliceThickness = spacing_mm
    dataset.PixelSpacing = [10.0, 10.0]
    dataset.Rows = dataset.Columns = size
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 1
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
    return dataset
