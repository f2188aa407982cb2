"""Registered systems of findings are read back as plain NumPy, with the digests that a release pins."""

import mlflow
import numpy as np
import pytest

from lidcflow.errors import ReleaseError
from lidcflow.nodules.malignancy import WEIGHTS, embedded_malignancy
from lidcflow.nodules.segmenter import embedded_segmenter
from lidcflow.release.pins import ModelPin
from tasks.findings import systems_of
from tasks.tracking import registry
from tasks.tracking.finding_systems import MALIGNANCIES, SEGMENTERS, system_model_name
from tasks.tracking.model_files import check_models
from tasks.tracking.runs import open_run
from tests.labelled_candidates import cubes
from tests.nodules.pins import PIN


def registered(tracking, kind, models):
    """Return the pin of a copy of the package's model, logged and registered as one of one's own."""
    with open_run(tracking, kind) as run:
        logged = models.log(run, tracking, WEIGHTS)
    name = system_model_name(tracking.registry_name, kind)
    version = registry.register_model(
        tracking, name, source=logged.uri, run_id=logged.run_id, model_id=logged.model_id, sha256=logged.sha256
    )
    return ModelPin(name=name, version=version, sha256=logged.sha256)


@pytest.fixture
def pin(tracking):
    """Return the pin of a release with systems of its own."""
    return PIN.model_copy(
        update={
            "own_segmenter": registered(tracking, "segmenter", SEGMENTERS),
            "own_malignancy": registered(tracking, "ridge", MALIGNANCIES),
        }
    )


def test_a_release_reads_with_the_systems_that_it_pins(tracking, pin):
    found = systems_of(pin, tracking)

    assert found.segmenter is not embedded_segmenter()
    assert (found.segmenter.sha256, found.malignancy.sha256) == (
        embedded_segmenter().sha256,
        embedded_malignancy().sha256,
    )
    assert systems_of(pin, tracking).segmenter is found.segmenter


def test_mlflow_loads_them_alone_and_they_say_the_same(tracking, pin):
    mlflow.set_tracking_uri(tracking.uri)
    hu, voxel_mm = cubes([8.0], np.random.default_rng(0)), np.array([0.75])

    inside, malignant = (
        mlflow.pyfunc.load_model(one.uri).predict({"cubes": hu, "voxel_mm": voxel_mm, **more})
        for one, more in ((pin.own_segmenter, {}), (pin.own_malignancy, {"diameter_mm": np.array([8.0])}))
    )

    np.testing.assert_allclose(inside, embedded_segmenter().probabilities(hu, [0.75]), atol=1e-6)
    assert malignant.shape == (1,)
    assert 0 < malignant[0] < 1


def test_systems_are_checked_with_the_release_that_pins_them(tracking, pin, release_record):
    gone = pin.own_segmenter.model_copy(update={"version": 9})
    lost = release_record.model_copy(update={"sectors": (), "nodules": pin.model_copy(update={"own_segmenter": gone})})
    of_systems = release_record.model_copy(update={"sectors": (), "nodules": pin})

    check_models(tracking, of_systems)
    with pytest.raises(ReleaseError, match=r"nodules\.segmenter/9"):
        check_models(tracking, lost)


def test_a_system_of_another_digest_is_refused_and_so_is_one_without_a_registry(tracking, pin):
    other = pin.own_malignancy.model_copy(update={"sha256": "0" * 64})

    with pytest.raises(ReleaseError, match="the SHA-256 of its files must be 0000"):
        systems_of(pin.model_copy(update={"own_malignancy": other}), tracking)
    with pytest.raises(ReleaseError, match=r"segmenter .*\.nodules\.segmenter: must be embedded where"):
        systems_of(pin)
