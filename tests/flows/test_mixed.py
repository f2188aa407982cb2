"""A phantom has the UIDs of a real series: neither replaces the other's volume, row or report."""

import shutil

import pydicom
import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.infer import infer
from flows.preprocess import preprocess
from lidcflow.catalog.series import Catalog
from lidcflow.config import ClusterConfig, Config, PreprocessConfig
from lidcflow.dicom.records import SYNTHETIC_MANUFACTURER
from lidcflow.store.volumes import VolumeStore
from tests.trained import config_file, with_release

pytestmark = pytest.mark.usefixtures("prefect_server")


def as_phantoms(source, folder):
    """Copy a source with the same UIDs, marked as synthetic."""
    shutil.copytree(source, folder)
    for file in folder.rglob("*.dcm"):
        image = pydicom.dcmread(file)
        image.Manufacturer = SYNTHETIC_MANUFACTURER
        image.save_as(file)
    return folder


def test_a_phantom_does_not_replace_the_volume_of_a_real_series(tmp_path, ct_series, address):
    config = Config(
        workspace=tmp_path / "workspace",
        patient_key="public",
        preprocess=PreprocessConfig(slices=8, size=16),
        cluster=ClusterConfig(place=address, batch_size=2),
    )
    source = ct_series(tmp_path / "source" / "a").parent
    preprocess(str(source), config)
    (uid,) = VolumeStore.of(config).series_uids()
    before = VolumeStore.of(config).record(uid).volume_digest

    report = preprocess(str(as_phantoms(source, tmp_path / "phantoms")), config)

    assert [one.reason for one in report.refused] == ["synthetic-and-real"]
    assert VolumeStore.of(config).record(uid).volume_digest == before
    with Catalog(config.catalog) as catalog:
        (row,) = catalog.rows()
        assert (row.state, row.synthetic, row.volume_digest) == ("committed", False, before)
    assert preprocess(str(source), config).reused == 1


def test_a_phantom_does_not_replace_the_report_on_a_real_series(config, read, source, tmp_path):
    phantoms = as_phantoms(source, tmp_path / "phantoms")
    evaluated = [one.page for one in read.readings if one.verdict != "not-evaluated"]
    before = [page.read_bytes() for page in evaluated]

    report = infer(str(phantoms), with_release(config, 1))

    assert len(report.mixed) == len(evaluated)
    assert {one.verdict for one in report.readings} == {"not-evaluated"}
    assert [page.read_bytes() for page in evaluated] == before


def test_the_command_names_the_series_it_did_not_read(config, read, source, tmp_path):
    phantoms = as_phantoms(source, tmp_path / "phantoms")

    done = CliRunner().invoke(
        app, ["infer", str(phantoms), "--release", "1", "--config", str(config_file(config, tmp_path))]
    )

    assert done.exit_code == 3
    assert "Not read: series" in done.output
    assert "use another workspace" in done.output


def test_phantoms_that_can_not_be_read_replace_no_report_either(config, read, source, tmp_path):
    phantoms = as_phantoms(source, tmp_path / "phantoms")
    for folder in {file.parent for file in phantoms.rglob("*.dcm")}:
        for file in sorted(folder.glob("*.dcm"))[2:]:
            file.unlink()
    evaluated = [one.page for one in read.readings if one.verdict != "not-evaluated"]
    before = [page.read_bytes() for page in evaluated]

    report = infer(str(phantoms), with_release(config, 1))

    assert len(report.mixed) == len(evaluated)
    assert [page.read_bytes() for page in evaluated] == before
