"""A workspace that is moved, copied or reached by another name keeps its own artifacts, and touches no other's."""

import fcntl
import hashlib
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from lidcflow.catalog import locks as turns
from lidcflow.catalog.locks import SERVED_FILE, at_work, relocate_tracking
from lidcflow.config import Config, TrackingConfig
from lidcflow.errors import ErasureError, ResourceError
from lidcflow.store import relocation
from tasks.tracking import erasure, registry
from tasks.tracking.connection import Tracking
from tasks.tracking.runs import open_run, run_of

NAMES = "SELECT root FROM lidcflow_workspace WHERE until IS NULL"


def tracking_of(workspace):
    return Tracking.of(Config(workspace=workspace))


def fill(workspace, release_record):
    """Leave a run with a picture and a data set, and a release of it; return the id of the run."""
    tracking = tracking_of(workspace)
    table = workspace.parent / "ab.parquet"
    table.write_bytes(b"rows")
    with open_run(tracking, "training") as run:
        run.figure(Figure(figsize=(1, 1)), "slices.png")
        run.dataset(table, name="snapshot", digest="ab", profile={})
        source = registry.release_folder(tracking, run.run_id)
        version = registry.register_model(tracking, "lidcflow", source=source, run_id=run.run_id)
        record = release_record.model_copy(update={"name": "lidcflow", "version": version})
        registry.complete_release(tracking, record, run.run_id, "A card.")
    return run.run_id


@pytest.fixture
def workspace(tmp_path, release_record):
    """A workspace whose name needs quoting in a URI, made before its database remembered names."""
    folder = tmp_path / "a wörkspace"
    folder.mkdir()
    (folder / "run").write_text(fill(folder, release_record))
    return folder


def run_in(workspace):
    return (workspace / "run").read_text()


def texts_of(workspace):
    with closing(sqlite3.connect(workspace / relocation.DATABASE)) as database, database:
        return "\n".join(database.iterdump())


def digest_of(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return hashlib.sha256(b"".join(str(path).encode() + path.read_bytes() for path in files)).hexdigest()


def test_a_workspace_that_was_moved_finds_its_release_and_names_its_former_place_in_the_record_alone(
    workspace, tmp_path
):
    moved = workspace.rename(tmp_path / "moved")

    assert registry.load_release(tracking_of(moved), "1").version == 1
    left = [line for line in texts_of(moved).splitlines() if "a%20w" in line or "a wörkspace" in line]
    assert len(left) == 1
    assert "lidcflow_workspace" in left[0]
    assert relocate_tracking(moved) == 0


def test_what_is_done_in_a_copy_leaves_no_trace_in_the_original(workspace, tmp_path, release_record):
    before = digest_of(workspace)
    copy = Path(shutil.copytree(workspace, tmp_path / "copy"))
    tracking = tracking_of(copy)

    (picture,) = erasure.kept_pictures(tracking, [run_in(copy)])
    deleted = erasure.delete(tracking, picture)
    run_of(tracking, run_in(copy)).text("new", "new.txt")
    fill(copy, release_record)

    assert deleted
    assert digest_of(workspace) == before
    assert len(list(copy.rglob("slices.png"))) == 1  # of the run that was made in the copy
    assert list(copy.rglob("new.txt"))


def test_a_copy_of_a_moved_copy_is_at_home_where_it_lies(workspace, tmp_path):
    copy = Path(shutil.copytree(workspace, tmp_path / "copy"))
    relocate_tracking(copy)
    second = Path(shutil.copytree(copy, tmp_path / "second"))

    assert relocate_tracking(second) > 0
    assert texts_of(second).count(copy.as_uri()) == 0
    assert relocate_tracking(copy) == relocate_tracking(workspace) == 0


def test_another_name_of_the_same_folder_changes_nothing(workspace, tmp_path):
    before = digest_of(workspace)
    link = tmp_path / "link"
    link.symlink_to(workspace)

    assert registry.load_release(tracking_of(link), "1").version == 1
    assert relocate_tracking(link) == relocate_tracking(workspace) == 0
    assert digest_of(workspace) == before


def test_a_workspace_that_was_made_through_a_link_can_be_moved(tmp_path, release_record):
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    fill(link, release_record)

    moved = real.rename(tmp_path / "moved")

    assert registry.load_release(tracking_of(moved), "1").version == 1


def test_places_elsewhere_stay_as_they_are(workspace, tmp_path):
    elsewhere = (
        "s3://bucket/mlflow/artifacts",
        "/data/another/mlflow/artifacts/5",
        f"{workspace}-2/mlflow/artifacts/6",
    )
    with closing(sqlite3.connect(workspace / relocation.DATABASE)) as database, database:
        for number, place in enumerate(elsewhere, start=7):
            database.execute(
                "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage, workspace) "
                "VALUES (?, ?, ?, 'active', 'default')",
                (number, place, place),
            )

    moved = workspace.rename(tmp_path / "moved")
    relocate_tracking(moved)

    with closing(sqlite3.connect(moved / relocation.DATABASE)) as database, database:
        found = database.execute("SELECT artifact_location FROM experiments WHERE experiment_id >= 7").fetchall()
    assert [place for (place,) in found] == list(elsewhere)


@pytest.mark.parametrize("other", ["a command", "lidcflow up"])
def test_nothing_is_rewritten_under_a_process_that_uses_the_other_name(workspace, tmp_path, monkeypatch, other):
    monkeypatch.setattr(turns, "PATIENCE_S", 0.0)
    moved = workspace.rename(tmp_path / "moved")
    before = texts_of(moved)
    (moved / "locks").mkdir(exist_ok=True)
    lock = moved / (SERVED_FILE if other == "lidcflow up" else "locks/workspace.lock")

    with lock.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX if other == "lidcflow up" else fcntl.LOCK_SH)
        with pytest.raises(ResourceError, match="another process is at work there under that name"):
            relocate_tracking(moved)

    assert texts_of(moved) == before
    with at_work(moved, "infer"):
        assert relocation.former_roots(moved) == []


def test_a_rewriting_that_is_cut_short_is_done_whole_the_next_time(workspace, tmp_path, monkeypatch):
    moved = workspace.rename(tmp_path / "moved")
    before = texts_of(moved)
    with monkeypatch.context() as patch:
        patch.setattr(relocation, "_note", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            relocate_tracking(moved)

    assert texts_of(moved) == before
    assert relocate_tracking(moved) > 0


def test_a_tracking_database_elsewhere_is_left_alone(workspace, tmp_path):
    uri = f"sqlite:///{workspace}/mlflow/mlflow.db"
    other = Config(workspace=tmp_path / "other", tracking=TrackingConfig(uri=uri))
    before = digest_of(workspace)
    (tmp_path / "other").mkdir()
    tracking = Tracking.of(other)

    (picture,) = erasure.kept_pictures(tracking, [run_in(workspace)])

    assert tracking.workspace is None
    assert not erasure.delete(tracking, picture)
    assert [Path(uri).name for uri in erasure.roots_elsewhere(tracking, [run_in(workspace)])] == ["artifacts"]
    with pytest.raises(ErasureError, match="must lie in the workspace"):
        erasure.replace(tracking, picture, tmp_path / "ab.parquet")
    assert digest_of(workspace) == before


def test_a_picture_that_a_link_leads_to_is_not_deleted(workspace, tmp_path):
    tracking = tracking_of(workspace)
    (picture,) = erasure.kept_pictures(tracking, [run_in(workspace)])
    (folder,) = {found.parent for found in workspace.rglob("slices.png")}
    outside = folder.rename(tmp_path / "outside")
    folder.symlink_to(outside)

    assert not erasure.delete(tracking, picture)
    assert (outside / "slices.png").exists()
