"""What the doctor finds, and the way out."""

from importlib.resources import files

import pytest
from packaging.requirements import Requirement

from flows.service import machine_checks
from flows.service.doctor import examine
from flows.service.machine_checks import Level
from lidcflow.config import Config


def test_doctor_refuses_a_patient_key_that_others_can_read(tmp_path):
    (tmp_path / "patient.key").write_bytes(b"secret")
    (tmp_path / "patient.key").chmod(0o644)

    finding = examine("patient key", Config(workspace=tmp_path))

    assert finding.level is Level.FAIL
    assert finding.way_out == f"chmod 600 {tmp_path / 'patient.key'}"


def test_doctor_warns_of_a_port_in_use_and_names_its_key(tmp_path, taken_port):
    config = Config(workspace=tmp_path, serve={"mlflow_port": taken_port, "prefect_port": 1024})

    finding = examine("lidcflow up", config)

    assert finding.level is Level.WARN
    assert "serve.mlflow_port" in finding.way_out


def test_doctor_knows_the_versions_that_break_things():
    assert machine_checks.misfit(Requirement("sqlalchemy<1")).endswith("(2.1 silently stops Prefect's scheduler)")
    assert machine_checks.misfit(Requirement("no-such-package")) == "no-such-package must be installed"
    assert machine_checks.misfit(Requirement("fastapi<0.151")) == ""


def test_doctor_asks_every_pacs_and_its_feed(tmp_path, pacs):
    finding = examine("PACS", Config(workspace=tmp_path, access=pacs.access))

    assert (finding.level, finding.found) == (Level.OK, "answers: main")


@pytest.mark.parametrize("changes", ["nowhere", "dicom-web/studies"])
def test_a_feed_that_is_none_is_a_failure(tmp_path, pacs, changes):
    reached = pacs.config.model_copy(update={"changes": f"{pacs.root}/{changes}"})

    finding = examine("PACS", Config(workspace=tmp_path, access={"pacs": {"main": reached}}))

    assert finding.level is Level.FAIL


def test_a_pacs_that_does_not_answer_is_a_failure_with_its_way_out(tmp_path):
    access = {"pacs": {"main": {"url": "http://127.0.0.1:9/dicom-web"}}}

    finding = examine("PACS", Config(workspace=tmp_path, access=access))

    assert (finding.level, finding.found) == (Level.FAIL, "pacs main: the PACS must answer, got no connection")
    assert finding.way_out.startswith("check the network and the service")


def test_a_catalog_whose_server_does_not_answer_is_a_failure_with_its_way_out(tmp_path):
    config = Config(workspace=tmp_path, catalog_url="postgresql+pg8000://lidcflow:secret@127.0.0.1:9/lidcflow")

    finding = examine("catalog", config)

    assert finding.level is Level.FAIL
    assert "its server must answer" in finding.found
    assert "secret" not in finding.found
    assert finding.way_out.startswith("start it, or check catalog_url")


def test_a_missing_weight_file_is_a_failure_with_its_way_out(tmp_path):
    train = {"backbone": "resnet50", "backbone_weights": str(tmp_path / "none.h5")}

    finding = examine("backbone weights", Config(workspace=tmp_path, train=train))

    assert finding.level is Level.FAIL
    assert finding.way_out == "check train.backbone_weights"


def test_a_network_of_ones_own_without_its_file_is_a_failure(tmp_path):
    train = {"backbone": "keras", "images": {"features": 8}}

    finding = examine("backbone weights", Config(workspace=tmp_path, train=train))

    assert finding.level is Level.FAIL
    assert "must have its file in train.backbone_weights" in finding.found


def test_the_shipped_weights_are_as_expected_beside_a_network_of_ones_own(tmp_path):
    train = {"backbone": "keras", "backbone_weights": str(tmp_path / "net.keras"), "images": {"features": 8}}

    finding = examine("compact weights", Config(workspace=tmp_path, train=train))

    assert (finding.level, finding.found[:8]) == (Level.OK, "SHA-256 ")


@pytest.mark.parametrize(
    ("train", "level", "found"),
    [
        ({}, Level.OK, "compact, in the package"),
        ({"backbone_weights": "{file}"}, Level.OK, "compact, own.npz, SHA-256 "),
        ({"backbone": "resnet50"}, Level.WARN, "resnet50, not here"),
    ],
)
def test_the_weights_of_the_backbone_that_trainings_use_are_named(tmp_path, monkeypatch, train, level, found):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    file = tmp_path / "own.npz"
    file.write_bytes((files("lidcflow.learn") / "weights" / "compact.npz").read_bytes())
    asked = {key: value.format(file=file) for key, value in train.items()}

    finding = examine("backbone weights", Config(workspace=tmp_path, train=asked))

    assert finding.level is level
    assert finding.found.startswith(found)
