"""A release that MLflow loads by itself: paths, stored series and arrays in, a table of slices and findings out."""

from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

import lidcflow as lf
from lidcflow.release.description import sector_lines
from lidcflow.series.find import index_folder
from lidcflow.store.volumes import VolumeStore
from tasks.api.array_series import write_array_series
from tasks.infer_series import config_for, infer_stored
from tasks.tracking.connection import Tracking
from tasks.tracking.loadable import COLUMNS
from tasks.tracking.models import feature_names
from tasks.tracking.registry import load_release
from tests.labelled_volumes import SLICES

PARAMS = {"spacing_mm": [2.5, 0.7, 0.7]}


@pytest.fixture(scope="module")
def release(released):
    return load_release(Tracking.of(released), "champion")


@pytest.fixture
def model(released):
    mlflow.set_tracking_uri(released.tracking.uri)
    mlflow.set_registry_uri(released.tracking.uri)
    return mlflow.pyfunc.load_model("models:/lidcflow@champion")


def test_a_stored_series_has_the_numbers_of_infer(released, release, model):
    store = VolumeStore.of(released)
    uid = store.series_uids()[0]
    stored = released.model_copy(update={"inbox_store": store.root})
    expected = infer_stored(uid, release, config_for(release, stored)).recommendation

    table = model.predict(f"{store.root}/series/{uid}")

    slices, findings = (table[table.kind == kind] for kind in ("slice", "finding"))
    assert slices.nodule.tolist() == [one.probabilities.nodule for one in expected.slices]
    assert slices["rank"].tolist() == [one.rank for one in expected.slices]
    assert findings.nodule.tolist() == [one.probability for one in expected.findings]
    assert table[table.kind == "series"].verdict.tolist() == [str(expected.verdict)]
    assert list(table) == list(COLUMNS)


def test_a_folder_of_dicom_has_the_numbers_of_a_study(released, model, ct_series, tmp_path):
    ct_series(tmp_path / "ct", n=30)
    ct_series(tmp_path / "short", n=3)

    table = model.predict([str(tmp_path / "ct"), str(tmp_path / "short")])

    (result,) = lf.read_study(tmp_path / "ct", "champion", tracking=released.tracking.uri)
    assert table[table.kind == "slice"].nodule.tolist() == result.slices.nodule.tolist()
    said = table[table.kind == "series"]
    assert said.verdict.tolist()[1] == "not-evaluated"
    assert said.warnings.tolist()[0] == " ".join(result.warnings)


def test_an_array_is_read_as_the_series_that_holds_it(model, ct_series, tmp_path):
    hu = np.random.default_rng(0).integers(-1000, 400, (30, 32, 32))
    folder = ct_series(tmp_path / "ct", n=30, hu=hu, spacing_mm=2.5, PixelSpacing=[0.7, 0.7])

    of_array, of_files = (model.predict(*given) for given in ((hu, PARAMS), (str(folder),)))

    shown = ["kind", "slice_number", "nodule", "malignant"]
    pd.testing.assert_frame_equal(of_array[shown], of_files[shown])
    assert sum(of_array.kind == "slice") == SLICES


def test_an_input_that_is_none_of_these_is_named(model):
    with pytest.raises(ValueError, match="must be the path of a DICOM folder or of a stored series"):
        model.predict({"patches": 1})
    with pytest.raises(ValueError, match="spacing_mm must be three positive distances"):
        model.predict(np.zeros((30, 8, 8)))


def test_the_release_is_code_of_the_package_without_a_pickle(released, release, model):
    source = mlflow.artifacts.download_artifacts(f"models:/{release.name}/{release.version}")

    assert model.metadata.flavors["python_function"]["loader_module"] == "tasks.api.registered"
    assert model.metadata.get_output_schema().input_names() == list(COLUMNS)
    assert not [*Path(source).rglob("*.pkl")]


def test_a_sector_model_has_an_example_and_lines_that_run(released, release, monkeypatch, model):
    pin = release.sectors[0]
    sector = mlflow.pyfunc.load_model(pin.uri)

    example = sector.input_example
    assert list(example) == feature_names(384)
    assert sector.metadata.get_output_schema().input_names() == ["probabilities"]
    np.testing.assert_allclose(sector.predict(example).sum(axis=1), 1, rtol=1e-5)
    lines = sector_lines(release, pin).removeprefix("```python\n").removesuffix("\n```")
    monkeypatch.setattr(lf, "open_store", lambda _: lf.Store(VolumeStore.of(released)))
    made = {}
    exec(lines, made)
    assert made["probabilities"].shape == (len(pin.slices), 3)


@pytest.mark.parametrize("hu", [np.zeros((2, 2)), np.full((2, 2, 2), np.nan)])
def test_an_array_that_is_no_stack_of_hu_is_refused(hu, tmp_path):
    with pytest.raises(ValueError, match="array of a release"):
        write_array_series(hu, PARAMS["spacing_mm"], tmp_path)


def test_an_array_becomes_a_series_that_can_be_used(tmp_path):
    uid = write_array_series(np.zeros((20, 16, 16)), PARAMS["spacing_mm"], tmp_path)

    (series,) = index_folder(tmp_path, secret=b"key").usable
    assert (series.series_instance_uid, series.slice_spacing_mm) == (uid, 2.5)
    assert not series.synthetic
