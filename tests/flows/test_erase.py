"""Erasing a patient: what goes, what stays, and what happens when it is cut short."""

import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from typer.testing import CliRunner

from flows import erase as erasing
from flows.cli import app
from flows.erase import erase, lift
from flows.infer_answers import refusals
from flows.service.status import status_of
from lidcflow.catalog import locks
from lidcflow.catalog.locks import at_work
from lidcflow.catalog.series import Catalog
from lidcflow.config import Config, PreprocessConfig, SplitConfig
from lidcflow.dicom.records import VerdictReason
from lidcflow.erase.log import entries
from lidcflow.erase.subject import Subject
from lidcflow.erase.tombstones import tombstones_in
from lidcflow.errors import ErasureError, ReleaseError, ResourceError, TrainingError
from lidcflow.learn.snapshot import build_snapshot
from lidcflow.learn.splits import split_of
from lidcflow.objects import bucket_of
from lidcflow.privacy import PUBLIC_KEY, hash_patient_id
from lidcflow.report.rank import not_evaluated
from lidcflow.series.verdicts import Verdict
from lidcflow.source.places import parse_source
from lidcflow.store.address import inbox_store, training_store
from lidcflow.store.arrays import CandidateArrays
from lidcflow.store.volumes import VolumeStore
from lidcflow.volume.reduce import reduce_series
from tasks.held_out import load_snapshot
from tasks.infer import report_refused
from tasks.promote import promote, rollback
from tasks.source import find_series
from tasks.tracking import registry
from tasks.tracking.connection import Tracking
from tasks.tracking.model_files import FILE, digest_of_model
from tasks.tracking.runs import open_run, run_of

SERIES = {"Ada": ("1.2.31", "1.2.32"), "Barbara": ("1.2.33",), "Dorothy": ("1.2.34",), "Grace": ("1.2.35",)}
LABELS = np.array([0, 1, 2, 0, 0, 0, 0, 0], dtype=np.int8)
SMALL = PreprocessConfig(slices=8, size=16)
STEPS = (
    "mask_histories",
    "delete_volumes",
    "delete_reports",
    "delete_arms",
    "erase_training",
    "delete_headers",
    "delete_rows",
    "append",
)
"""What an erasure does, in order; after each it may be cut short."""


class CutShort(BaseException):
    """Stands for the end of the process."""


def key_of(patient):
    return hash_patient_id(patient, PUBLIC_KEY)


def subject(patient):
    return Subject("patient", key_of(patient))


SEED = next(seed for seed in range(999) if split_of(key_of("Ada"), SplitConfig(seed=seed)) == "validation")
SPLIT = SplitConfig(seed=SEED)


@pytest.fixture(scope="module")
def archive_folder(ct_series, tmp_path_factory):
    """Small series of four patients."""
    folder = tmp_path_factory.mktemp("archive")
    for patient, uids in SERIES.items():
        for uid in uids:
            ct_series(folder / uid, patient_id=patient, series_uid=uid, n=8, size=16)
    return folder


def with_candidates(series):
    """A volume of a series, and one nodule candidate with its patches."""
    attributes = {
        "schema": 1,
        "columns": ["z_mm"],
        "sop_instance_uids": [series.slices[0].sop_instance_uid],
        "flags": [],
    }
    patches = np.full((1, 2, 3, 48, 48), -850, np.int16)
    return reduce_series(series, SMALL), CandidateArrays(attributes, np.zeros((1, 1), np.float32), patches)


def fill(config, archive_folder, release, where=training_store):
    """Leave what the whole job leaves of every series: volume, features, row, headers, and an answer."""
    index, store = find_series(parse_source(str(archive_folder)), config), where(config).open(create=True)
    digests = {one.series_instance_uid: store.write(one, *with_candidates(one)) for one in index.usable}
    for uid, digest in digests.items():
        store.write_features(uid, "compact", np.zeros((8, 4), dtype=np.float16), digest)
    with Catalog(config.catalog) as catalog:
        catalog.record_verdicts(index)
        catalog.record_committed(digests, SMALL.digest)
    for series in index.usable:
        said = not_evaluated(series.series_instance_uid, series.study_instance_uid, "failed", "a test", release.facts())
        report_refused(said, config.reports_path)
    return store


def train_on(config, records, release):
    """Log a training as it is logged, with its snapshot, a picture below it and a release; return the version."""
    tracking = Tracking.of(config)
    snapshot = build_snapshot(records, {record.series_instance_uid: LABELS for record in records}, SPLIT)
    file = config.workspace / "snapshots" / f"{snapshot.digest[:12]}.parquet"
    file.parent.mkdir(exist_ok=True)
    snapshot.save(file)
    with open_run(tracking, "training", tags={"snapshot": snapshot.digest[:12]}) as run:
        run.dataset(file, name="snapshot", digest=snapshot.digest, profile={})
        with open_run(tracking, "sector", parent_id=run.run_id) as sector:
            sector.figure(Figure(), "slices.png")
            sector.figure(Figure(), "curves.png")
        source = registry.release_folder(tracking, run.run_id)
        version = registry.register_model(tracking, release.name, source=source, run_id=run.run_id)
        run.text("network", f"model/{FILE}")  # nobody loads it here
        model = f"{run.client.get_run(run.run_id).info.artifact_uri}/model"
        number = registry.register_model(tracking, "m", source=model, run_id=run.run_id)
        pinned = {"version": number, "sha256": digest_of_model(tracking, f"models:/m/{number}")}
        pins = tuple(pin.model_copy(update=pinned) for pin in release.sectors)
        record = release.model_copy(update={"version": version, "snapshot_digest": snapshot.digest, "sectors": pins})
        registry.complete_release(tracking, record, run.run_id, "A card.")
    return SimpleNamespace(version=version, record=record, run_id=run.run_id, sector_id=sector.run_id, file=file)


@pytest.fixture(scope="module")
def config(archive_folder, tmp_path_factory):
    return Config(workspace=tmp_path_factory.mktemp("workspace"), patient_key="public", preprocess=SMALL, split=SPLIT)


@pytest.fixture(scope="module")
def trainings(config, archive_folder, release_record):
    """A training on all patients and one on Grace, each with patients whose volumes are not here any more."""
    store = fill(config, archive_folder, release_record)
    fill(config, archive_folder, release_record, inbox_store)
    arms = config.workspace / "experiments"
    arms.mkdir()
    (arms / "a.json").write_text(json.dumps({"series": ["1.2.31", "1.2.35"]}))
    (arms / "b.json").write_text(json.dumps({"series": ["1.2.35"]}))
    others = [
        SimpleNamespace(series_instance_uid=f"1.9.{n}", patient_key=f"key {n}", volume_digest="d") for n in range(20)
    ]
    records = list(store.records(store.series_uids()))
    grace = [record for record in records if record.series_instance_uid == "1.2.35"]
    return train_on(config, [*records, *others], release_record), train_on(config, [*grace, *others], release_record)


def kept_in(workspace, *texts):
    """Name the files that hold any of the texts, Parquet files by their rows."""
    found = set()
    for path in workspace.rglob("*"):
        if path.is_file():
            content = path.read_bytes() + (
                pd.read_parquet(path).to_csv().encode() if path.suffix == ".parquet" else b""
            )
            named = str(path.relative_to(workspace)).encode()
            found |= {path.name for text in texts if text.encode() in content + named}
    return found


def artifacts_of(config, run_id):
    return {found.path for found in run_of(Tracking.of(config), run_id).client.list_artifacts(run_id)}


def test_a_dry_run_tells_what_would_go_and_touches_nothing(config, trainings):
    before = {path: path.read_bytes() for path in config.workspace.rglob("*.parquet")}

    planned = erase(subject("Ada"), config, dry_run=True)

    assert planned.series == ["1.2.31", "1.2.32"]
    facts = planned.deleted.model_dump()
    assert facts.pop("left") == ()
    assert facts == {
        "series": 2,
        "volumes": 4,
        "reports": 2,
        "header_files": 16,
        "catalog_rows": 2,
        "snapshots": 1,
        "arms": 1,
        "artifacts": 2,
        "mentions": 0,
        "releases": (1,),
        "models": ("m version 1",),
    }
    assert {path: path.read_bytes() for path in config.workspace.rglob("*.parquet")} == before
    assert tombstones_in(config.catalog) == []
    assert VolumeStore.of(config).series_uids() == [uid for uids in SERIES.values() for uid in uids]


@pytest.fixture(scope="module")
def erased(config, trainings):
    """Ada's erasure, cut short after each of its steps in turn, then run to its end."""
    planned = erase(subject("Ada"), config, dry_run=True)
    with pytest.MonkeyPatch.context() as patch:
        for step in STEPS:
            done = getattr(erasing, step)
            patch.setattr(erasing, step, cutting(done))
            with pytest.raises(CutShort):
                erase(subject("Ada"), config)
            patch.setattr(erasing, step, done)
    found = status_of(config)
    return SimpleNamespace(before=found, planned=planned, report=erase(subject("Ada"), config))


def cutting(step):
    def cut(*arguments, **options):
        step(*arguments, **options)
        raise CutShort

    return cut


def test_an_erasure_that_was_cut_short_is_told_until_it_is_run_again(config, erased):
    (problem,) = [one for one in erased.before.problems if "cut short" in one]

    assert problem == f"an erasure was cut short; run `lidcflow erase --patient {key_of('Ada')}` again"
    assert status_of(config).erasures.cut_short == []


def test_tries_that_were_cut_short_are_counted_too_and_a_dry_run_told_the_truth(erased):
    assert erased.report.deleted == erased.planned.deleted
    assert erased.report.deleted.volumes == 4


def test_after_an_erasure_no_file_names_the_patient_but_tombstone_and_log(config, erased):
    assert kept_in(config.workspace, *SERIES["Ada"]) == set()
    assert kept_in(config.workspace, key_of("Ada")) <= {"catalog.db", "catalog.db-wal", "erasures.jsonl"}
    assert {"catalog.db", "headers.db", "b.json"} <= kept_in(config.workspace, *SERIES["Grace"])
    assert VolumeStore.of(config).read_features("1.2.35", "compact") is not None


def test_the_candidates_and_patches_of_a_patient_go_and_those_of_others_stay(config, erased):
    store = training_store(config).open()

    assert [store.read_candidates(uid) for uid in SERIES["Ada"]] == [None, None]
    assert not [uid for uid in SERIES["Ada"] if list(config.workspace.rglob(f"{uid}/candidates"))]
    assert all(store.read_candidates(uid) is not None for uid in SERIES["Barbara"])


def test_an_erasure_is_logged_once_with_date_counts_and_releases(config, erased):
    (entry,) = [one for one in entries(config.workspace) if one.key == key_of("Ada")]

    assert (entry.action, entry.deleted.series, entry.asked <= entry.done) == ("erased", 2, True)
    assert "1.2.31" not in entry.model_dump_json()


def test_releases_that_used_the_data_are_marked_and_others_are_not(config, trainings, erased):
    newer, older = registry.list_releases(Tracking.of(config))

    (mark,) = older.erased
    assert mark.startswith("2 series of 1 patient in its snapshot were erased on 20")
    assert key_of("Ada") not in mark
    assert newer.erased == ()
    described = (
        run_of(Tracking.of(config), trainings[0].run_id).client.get_model_version(older.record.name, "1").description
    )
    assert described.count(mark) == 1


def test_pictures_of_validation_patients_go_and_curves_stay(config, trainings, erased):
    first, second = trainings

    assert artifacts_of(config, first.sector_id) == {"curves.png"}
    assert artifacts_of(config, second.sector_id) == {"curves.png", "slices.png"}


def test_a_snapshot_that_lost_rows_is_refused_here_and_in_mlflow(config, trainings, erased):
    first, second = trainings
    elsewhere = config.model_copy(update={"workspace": config.workspace / "elsewhere"})
    tracked = elsewhere.model_copy(update={"tracking": config.tracking.model_copy(update={"uri": config.tracking_uri})})

    for place in (config, tracked):
        with pytest.raises(TrainingError, match="must hold all of its series, but 2 were erased on"):
            load_snapshot(first.record, place, first.run_id)
    assert len(load_snapshot(second.record, config, second.run_id).table) == 21 * len(LABELS)


def test_an_erased_patient_who_comes_again_is_refused_and_nothing_of_him_is_kept(
    config, archive_folder, erased, release_record
):
    index = find_series(parse_source(str(archive_folder)), config)
    with Catalog(config.catalog) as catalog:
        catalog.record_verdicts(index)

    reasons = {verdict.series_instance_uid: verdict.reason for verdict in index}
    assert {reasons[uid] for uid in SERIES["Ada"]} == {VerdictReason.ERASED}
    assert reasons["1.2.35"] is VerdictReason.USABLE
    assert list(refusals(index, {}, release_record.facts())) == []
    assert kept_in(config.workspace, *SERIES["Ada"]) == set()


def test_a_lost_catalog_does_not_bring_an_erased_patient_back(config, archive_folder, erased, tmp_path):
    elsewhere = config.model_copy(update={"catalog_url": f"sqlite:///{tmp_path}/new.db"})

    index = find_series(parse_source(str(archive_folder)), elsewhere)

    assert len([verdict for verdict in index if verdict.reason is VerdictReason.ERASED]) == 2


def test_a_marked_release_is_promoted_only_by_force_and_never_by_a_rollback(config, erased):
    tracking = Tracking.of(config)

    with pytest.raises(ReleaseError, match=r"made from data that are still kept, but 2 series .* give --force"):
        promote(tracking, 1, force=False, reason="")
    promote(tracking, 1, force=True, reason="nothing else is there")
    assert [one for one in status_of(config).problems if "`lidcflow retrain` trains another" in one]
    promote(tracking, 2, force=False, reason="")
    with pytest.raises(ReleaseError, match="have lost no data to an erasure, got none"):
        rollback(tracking)


def test_an_erasure_that_is_killed_is_completed_by_the_next_one(config, trainings, erased):
    program = (
        "import os, signal, sys\n"
        "from flows import erase as erasing\n"
        "from lidcflow.config import Config\n"
        "from lidcflow.erase.subject import Subject\n"
        "erasing.delete_reports = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)\n"
        "erasing.erase(Subject('patient', sys.argv[1]), Config.model_validate_json(sys.stdin.read()))\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", program, key_of("Barbara")], input=config.model_dump_json(), text=True
    )
    left = kept_in(config.workspace, "1.2.33")

    report = erase(subject("Barbara"), config)

    assert killed.returncode == -9
    assert "report.html" in left
    assert report.deleted.reports == 1
    assert kept_in(config.workspace, "1.2.33") == set()


def lidcflow(config, folder, *arguments, said=None):
    file = folder / "lidcflow.toml"
    file.write_text(f'workspace = "{config.workspace}"\npatient_key = "public"\n[preprocess]\nslices = 8\nsize = 16\n')
    return CliRunner().invoke(app, [*arguments, "--config", str(file)], input=said)


def test_the_command_takes_a_patient_id_from_standard_input_and_asks_before_it_deletes(config, erased, tmp_path):
    planned = lidcflow(config, tmp_path, "erase", "--patient-id", "--dry-run", "--json", said="Dorothy\n")
    unsure = lidcflow(config, tmp_path, "erase", "--patient", key_of("Dorothy"), said="n\n")
    still_there = kept_in(config.workspace, "1.2.34")
    done = lidcflow(config, tmp_path, "erase", "--patient-id", "--yes", said=" Dorothy \n")

    assert json.loads(planned.stdout)["deleted"]["volumes"] == 2
    assert (unsure.exit_code, "report.html" in still_there) == (1, True)
    assert f"Deleted of patient {key_of('Dorothy')}" in done.stdout
    assert "Dorothy" not in done.output
    assert kept_in(config.workspace, "1.2.34", "Dorothy") == set()


def test_what_was_erased_is_listed_and_let_in_again(config, archive_folder, erased, tmp_path):
    series = Subject("series", "1.2.99")
    erase(series, config)
    listed = json.loads(lidcflow(config, tmp_path, "erase", "--list", "--json").stdout)

    lifted = lidcflow(config, tmp_path, "erase", "--forget", "1.2.99")

    assert "1.2.99" in [one["key"] for one in listed]
    assert "The series 1.2.99 is let in again" in lifted.stdout
    assert series not in [stone.subject for stone in tombstones_in(config.catalog)]
    with pytest.raises(ErasureError, match=r"must have been erased, got 1\.2\.99"):
        lift("1.2.99", config)


def test_one_way_to_name_what_is_erased_is_asked_for(config, tmp_path):
    assert lidcflow(config, tmp_path, "erase").exit_code == 2
    assert lidcflow(config, tmp_path, "erase", "--list", "--series", "1.2").exit_code == 2


def test_an_erasure_beside_other_work_is_refused(config, monkeypatch):
    monkeypatch.setattr(locks, "PATIENCE_S", 0.0)

    with at_work(config.workspace, "preprocess"), pytest.raises(ResourceError, match="got preprocess under way"):
        erase(subject("Grace"), config)


def test_an_erasure_without_a_workspace_makes_none(tmp_path):
    config = Config(workspace=tmp_path / "none")

    with pytest.raises(ErasureError, match="must be there"):
        erase(subject("Ada"), config, dry_run=True)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["store", "inbox-store", "reports", "mlflow"])
def test_a_link_out_of_the_workspace_is_refused_before_anything_is_deleted(tmp_path, name):
    workspace, outside = tmp_path / "workspace", tmp_path / "outside"
    workspace.mkdir()
    outside.mkdir()
    (workspace / name).symlink_to(outside)
    config = Config(workspace=workspace, patient_key="public")

    with pytest.raises(ErasureError, match=f"{name} must lie in the workspace .*, but a link leads out of it"):
        erase(subject("Ada"), config)

    assert tombstones_in(config.catalog) == []


def test_a_workspace_that_is_itself_reached_by_a_link_is_erased_from(tmp_path, archive_folder, release_record):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    config = Config(workspace=tmp_path / "link", patient_key="public", preprocess=SMALL)
    fill(config, archive_folder, release_record)

    report = erase(subject("Ada"), config)

    assert report.deleted.volumes == 2
    assert kept_in(tmp_path / "real", *SERIES["Ada"]) == set()


def test_rows_of_earlier_versions_that_tell_nothing_of_a_patient_go_with_an_erasure(
    tmp_path, archive_folder, release_record
):
    config = Config(workspace=tmp_path, patient_key="public", preprocess=SMALL)
    fill(config, archive_folder, release_record)
    with Catalog(config.catalog) as catalog:
        catalog.record_verdicts([Verdict("1.2.77", VerdictReason.MISSING_SLICES, "a gap", 9)])

    report = erase(subject("Ada"), config)

    assert report.deleted.series == 3
    with Catalog(config.catalog) as catalog:
        assert [row.series_instance_uid for row in catalog.rows()] == ["1.2.33", "1.2.34", "1.2.35"]


def test_volumes_in_a_bucket_go_with_their_markers_also_after_a_cut(archive_folder, objects, tmp_path, release_record):
    places = {"store": "s3://bucket/store", "inbox_store": "s3://bucket/inbox", "access": objects.access}
    config = Config(workspace=tmp_path, patient_key="public", preprocess=SMALL, **places)
    bucket = bucket_of("s3://bucket", objects.access)
    fill(config, archive_folder, release_record)
    bucket.delete("store/committed/1.2.31")

    report = erase(subject("Ada"), config)

    keys = [found["path"] for found in bucket.list().collect()]
    assert report.deleted.volumes == 1
    assert not [key for key in keys if "1.2.31" in key or "1.2.32" in key]
    assert [key for key in keys if "series/1.2.35/features" in key]
