"""Who the patient is stays in the source: every byte that the whole job leaves is searched for planted names."""

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pydicom
import pytest
from pydicom.config import disable_value_validation

from lidcflow.catalog.series import Catalog, State
from lidcflow.privacy import KEY_FILE

LIDCFLOW = Path(sys.executable).with_name("lidcflow")
WITHIN_S = 300
PLANTED = {
    "PatientName": "CANARY1^NAME",
    "PatientID": "CANARY2ID",
    "PatientBirthDate": "CANARY3D",
    "AccessionNumber": "CANARY4ACC",
    "OtherPatientNames": "CANARY5^OTHER",
    "PatientAddress": "CANARY6 Street",
    "PatientComments": "CANARY7 comment",
    "ReferringPhysicianName": "CANARY8^DOCTOR",
    "InstitutionName": "CANARY9 Hospital",
    "StudyDescription": "CANARY10 study",
    "SeriesDescription": "CANARY11 series",
    "StudyID": "CANARY12",
}
CANARY = b"CANARY"

SETTINGS = """
workspace = "workspace"
[preprocess]
slices = 16
size = 32
[split]
validation = 0.3
test = 0.2
[train]
sector_num = 2
epochs = 2
[nodules]
steps = 10
[cluster]
workers = 1
"""


def lidcflow(folder, *arguments, codes=(0,)):
    """Run a command in a folder, and return all that it said."""
    environment = {**os.environ, "DO_NOT_TRACK": "true"}
    for name in ("PREFECT_API_URL", "PREFECT_HOME"):
        environment.pop(name, None)
    done = subprocess.run([LIDCFLOW, *arguments], cwd=folder, env=environment, capture_output=True, timeout=WITHIN_S)
    said = done.stdout + done.stderr
    assert done.returncode in codes, said.decode()
    return said


def plant(folder):
    """Write the planted values into every header, and into the names of files and folders."""
    for number, path in enumerate(sorted(folder.rglob("*.dcm"))):
        dataset = pydicom.dcmread(path)
        with disable_value_validation():
            for keyword, value in PLANTED.items():
                setattr(dataset, keyword, f"{value} {dataset.PatientID}" if keyword == "PatientID" else value)
            dataset.save_as(path)
        path.rename(path.with_name(f"CANARY13 {number}.dcm"))
    for place in list(folder.iterdir()):
        place.rename(folder / f"CANARY14 {place.name}")


def spoil(folder):
    """Make series that are refused by their headers and by their pixels, and a torn file, all with planted values."""
    series = sorted({path.parent for path in folder.rglob("*.dcm")})
    for path in series[0].iterdir():
        dataset = pydicom.dcmread(path)
        dataset.Modality = "MR"
        dataset.save_as(path)
    for path in series[1].iterdir():
        dataset = pydicom.dcmread(path)
        dataset.compress(pydicom.uid.RLELossless, generate_instance_uid=False)
        dataset.PixelData = dataset.PixelData[: len(dataset.PixelData) // 4 * 2]
        dataset.save_as(path)
    whole = next(series[2].iterdir()).read_bytes()
    (series[2] / "CANARY15.dcm").write_bytes(whole[:600] + b"\xff" * 100)


def write_key(workspace):
    """Write the key of the patient hash: a fresh one may leave a split of twelve patients without a class."""
    workspace.mkdir()
    (workspace / KEY_FILE).write_bytes(bytes([*[0] * 31, 0x1B]))
    (workspace / KEY_FILE).chmod(0o600)


@pytest.fixture(scope="module")
def left(tmp_path_factory):
    """What the whole job left and said: the workspace, and the output of all commands."""
    folder = tmp_path_factory.mktemp("canary")
    (folder / "lidcflow.toml").write_text(SETTINGS)
    write_key(folder / "workspace")
    lidcflow(folder, "phantom", "source", "--series", "14", "--max-slices", "110", "--seed", "3")
    plant(folder / "source")
    spoil(folder / "source")
    said = [
        lidcflow(folder, "index", "source", "--json", codes=(3,)),
        lidcflow(folder, "preprocess", "source", codes=(3,)),
        lidcflow(folder, "train"),
        lidcflow(folder, "promote", "1", "--force", "--reason", "a test"),
        lidcflow(folder, "evaluate", "1"),
        lidcflow(folder, "infer", "source", "--documents", "documents", codes=(3,)),
        lidcflow(folder, "repair", "--verify"),
        lidcflow(folder, "status"),
    ]
    return folder / "workspace", b"".join(said)


def contents(path):
    """Yield what a file holds, and what is packed in it."""
    content = path.read_bytes()
    yield content
    if path.suffix == ".parquet":
        yield pd.read_parquet(path).to_csv().encode()
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            yield from (packed.read(name) for name in packed.namelist())


def test_the_source_holds_the_planted_values_and_series_that_are_refused(left):
    workspace, _ = left

    with Catalog(f"sqlite:///{workspace}/catalog.db") as catalog:
        refused = {
            row.reason for row in catalog.rows() if row.state in (State.REFUSED, State.FAILED, State.PASSED_OVER)
        }
    assert refused == {"not-ct", "truncated"}
    assert any(CANARY in path.read_bytes() for path in (workspace.parent / "source").rglob("*.dcm"))


def test_documents_for_the_pacs_hold_the_patient_they_are_of(left):
    workspace, _ = left

    documents = list((workspace.parent / "documents").rglob("*.dcm"))

    assert len(documents) >= 24
    assert all(b"CANARY1^NAME" in path.read_bytes() for path in documents)
    assert not any(b"CANARY9" in path.read_bytes() for path in documents)


def test_no_file_of_the_workspace_holds_a_planted_value(left):
    workspace, _ = left
    files = [path for path in workspace.rglob("*") if path.is_file()]

    kinds = {part for path in files for part in path.relative_to(workspace).parts[:1]}
    assert {"store", "inbox-store", "catalog.db", "headers.db", "mlflow", "prefect", "reports", "snapshots"} <= kinds
    assert [path for path in files if any(CANARY in content for content in contents(path))] == []
    assert [path for path in files if CANARY.decode() in str(path.relative_to(workspace))] == []


def test_no_command_says_a_planted_value(left):
    _, said = left

    assert CANARY not in said
