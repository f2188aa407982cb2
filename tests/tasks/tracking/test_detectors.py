"""A registered detector is read back as plain NumPy, with the digest that a release pins."""

import mlflow
import numpy as np
import pytest

from lidcflow.errors import ReleaseError
from lidcflow.nodules.detector import read_detector, write_detector
from lidcflow.release.pins import DetectorPin, NodulePin
from tasks.findings import detector_of
from tasks.tracking import registry
from tasks.tracking.artifacts import private_copy
from tasks.tracking.detectors import DETECTORS, detector_model_name
from tasks.tracking.model_files import check_models
from tasks.tracking.runs import open_run
from tests.nodules.detectors import CARD, random_weights
from tests.nodules.pins import PIN


@pytest.fixture
def folder(tmp_path):
    """Return the folder of a detector of two widths, with a file beside it that is no part of the model."""
    write_detector(tmp_path / "kept", [random_weights(0), random_weights(1)], {**CARD, "widths": [0, 1]})
    (tmp_path / "kept" / "tiles.npz").write_bytes(b"pictures")
    return tmp_path / "kept"


@pytest.fixture
def pin(tracking, folder):
    """Return the pin of the detector, logged and registered."""
    name = detector_model_name(tracking.registry_name)
    with open_run(tracking, "nodule detector") as run:
        logged = DETECTORS.log(run, tracking, folder)
    version = registry.register_model(
        tracking, name, source=logged.uri, run_id=logged.run_id, model_id=logged.model_id, sha256=logged.sha256
    )
    return DetectorPin(detector=name, version=version, sha256=logged.sha256, threshold=0.4)


@pytest.fixture
def candidates():
    rng = np.random.default_rng(0)
    return rng.integers(-1000, 400, (3, 2, 3, 48, 48), dtype=np.int16), np.array([0.1, 0.5, 1.0], np.float32)


def test_a_registered_detector_says_what_the_kept_one_says(tracking, folder, pin, candidates):
    loaded = DETECTORS.load(tracking, pin.detector, pin.version, pin.sha256)

    np.testing.assert_array_equal(loaded.probabilities(*candidates), read_detector(folder).probabilities(*candidates))
    assert loaded.widths == (0, 1)
    assert detector_of(pin, tracking) is detector_of(pin, tracking)


def test_mlflow_loads_it_alone_and_it_says_the_same(tracking, folder, pin, candidates):
    mlflow.set_tracking_uri(tracking.uri)

    model = mlflow.pyfunc.load_model(pin.uri)

    said = model.predict(dict(zip(("patches", "score"), candidates, strict=True)))
    np.testing.assert_allclose(said, read_detector(folder).probabilities(*candidates))


def test_the_model_holds_weights_and_card_and_no_pickle(tracking, pin):
    with private_copy(tracking, pin.uri, "model") as files:
        names = {str(file.relative_to(files)) for file in files.rglob("*") if file.is_file()}

    assert {f"{DETECTORS.folder}/detector.npz", f"{DETECTORS.folder}/detector.json"} <= names
    assert not [name for name in names if name.endswith((".pkl", "tiles.npz"))]


def test_a_detector_of_another_digest_is_refused(tracking, pin):
    with pytest.raises(ReleaseError, match="must be 0000"):
        DETECTORS.load(tracking, pin.detector, pin.version, "0" * 64)


def test_a_detector_that_is_gone_is_refused(tracking, pin):
    with pytest.raises(ReleaseError, match="must be whole in the registry"):
        DETECTORS.load(tracking, pin.detector, pin.version + 1, pin.sha256)


def test_without_a_registry_an_own_detector_is_refused(pin):
    with pytest.raises(ReleaseError, match="must be embedded where there is no registry"):
        detector_of(pin)


def test_a_release_that_pins_it_is_checked_with_it(tracking, pin, release_record):
    pinned = NodulePin(**{**PIN.model_dump(), **pin.model_dump()})
    release = release_record.model_copy(update={"sectors": (), "nodules": pinned})

    check_models(tracking, release)

    other = release.model_copy(update={"nodules": pinned.model_copy(update={"sha256": "0" * 64})})
    with pytest.raises(ReleaseError, match="which its release pins"):
        check_models(tracking, other)
