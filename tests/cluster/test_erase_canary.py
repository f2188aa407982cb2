"""Nothing below a workspace names an erased patient but the tombstone: looked for in the bytes of every file."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pydicom
import pytest
from pydicom.config import disable_value_validation

from lidcflow.privacy import PUBLIC_KEY, hash_patient_id
from tests.conftest import write_ct_series
from tests.templates import copy_prefect_database

ROOT = "1.2.826.0.1.3680043.8.498"
WHOLE, GAP, OTHER = f"{ROOT}.100.1", f"{ROOT}.100.2", f"{ROOT}.200.1"
KEY = hash_patient_id("Ada", PUBLIC_KEY)
TOMBSTONE = {"catalog.db", "catalog.db-wal", "erasures.jsonl"}
"""Files that keep the hash of who is kept out."""

SMALL = 'workspace = "ws"\npatient_key = "public"\n[preprocess]\nslices = 8\nsize = 16\n[cluster]\nworkers = 1\n'


def run(folder: Path, *arguments: str, said: str = "") -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environ.pop("PREFECT_API_URL", None)
    environ.pop("PREFECT_HOME", None)
    command = ["lidcflow", *arguments]
    return subprocess.run(command, cwd=folder, env=environ, input=said, capture_output=True, text=True, check=False)


def without_uid(folder: Path) -> None:
    for file in folder.iterdir():
        image = pydicom.dcmread(file)
        with disable_value_validation():
            image.SeriesInstanceUID = "A/B"
            image.save_as(file)


def uids_of(source: Path) -> set[str]:
    """List study, series and instances of Ada."""
    images = [pydicom.dcmread(file) for file in source.rglob("*.dcm")]
    own = [image for image in images if image.PatientID == "Ada"]
    return {uid for image in own for uid in (image.StudyInstanceUID, image.SOPInstanceUID)} | {WHOLE, GAP}


def files_that_name(workspace: Path, texts: set[str]) -> set[str]:
    named = {str(path.relative_to(workspace)).encode() for path in workspace.rglob("*")}
    found = {path.name for path in workspace.rglob("*") if path.is_file() and any_in(path.read_bytes(), texts)}
    return found | {name.decode() for name in named if any_in(name, texts)}


def any_in(content: bytes, texts: set[str]) -> bool:
    return any(text.encode() in content for text in texts)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What Prefect, the store, the catalog and a service's log keep after a preprocessing of three patients' series."""
    folder = tmp_path_factory.mktemp("canary")
    (folder / "lidcflow.toml").write_text(SMALL)
    copy_prefect_database(folder / "ws/prefect/prefect.db")
    source = folder / "source"
    for uid, patient in ((WHOLE, "Ada"), (GAP, "Ada"), (OTHER, "Grace")):
        write_ct_series(source / uid, patient_id=patient, series_uid=uid, n=12, size=16)
    for number in (5, 6):
        (source / GAP / f"{number:06d}.dcm").unlink()
    without_uid(write_ct_series(source / "no-uid", patient_id="Ada", series_uid=f"{ROOT}.100.3", n=9, size=16))
    assert run(folder, "preprocess", "source").returncode == 3
    (folder / "ws/logs").mkdir()
    (folder / "ws/logs/worker.log").write_text(f"series {GAP}: slices must be there\nseries {OTHER}: done\n")
    return folder


def test_after_an_erasure_no_byte_names_the_patient_and_nothing_comes_back(folder):
    workspace, uids = folder / "ws", uids_of(folder / "source")
    before = files_that_name(workspace, uids)

    planned = json.loads(run(folder, "erase", "--patient", KEY, "--dry-run", "--json").stdout)["deleted"]
    (workspace / "headers.db").unlink()  # harmless to lose, whatever is asked for next
    done = run(folder, "erase", "--patient-id", "--yes", "--json", said="Ada\n")
    after = files_that_name(workspace, uids), files_that_name(workspace, {KEY})

    assert {"catalog.db", "worker.log"} <= before
    assert {"prefect.db", "prefect.db-wal"} & before  # its changes may not have come from the log to the file yet
    deleted = json.loads(done.stdout)["deleted"]
    assert (done.returncode, deleted["series"], deleted["volumes"], deleted["catalog_rows"]) == (0, 3, 1, 3)
    assert {**planned, "header_files": 0} == deleted
    assert after[0] == set()
    assert after[1] <= TOMBSTONE
    assert OTHER in (workspace / "logs/worker.log").read_text()

    again = run(folder, "preprocess", "source")

    assert again.returncode in (0, 3)
    assert files_that_name(workspace, uids) == set()
    assert files_that_name(workspace, {KEY}) <= TOMBSTONE
    assert {"catalog.db", "headers.db"} <= files_that_name(workspace, {OTHER})
