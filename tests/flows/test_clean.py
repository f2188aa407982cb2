"""The clean-up: what is old goes, and nothing that is waited for, marked, compared or trained on."""

import json
import logging
import os
import shutil
import sqlite3
import time
from contextlib import closing

import pytest
from typer.testing import CliRunner

from flows.clean import ASIDE, clean_up
from flows.cli import app
from flows.service.status import status_of
from lidcflow.catalog.locks import at_work
from lidcflow.catalog.series import Catalog, State
from lidcflow.config import Config, PreprocessConfig, RetentionConfig
from lidcflow.errors import WorkspaceBusy
from lidcflow.inbox.delivery import RetryPolicy, Sighting, Step
from lidcflow.inbox.ledger import Ledger
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.report.marks import FILE as MARKS
from lidcflow.report.page import DATA
from lidcflow.retention.expired import folder_bytes
from lidcflow.retention.logs import shorten_logs
from lidcflow.retention.record import last_clean_up
from lidcflow.series.find import index_folder
from lidcflow.store.address import inbox_store
from lidcflow.store.volumes import VolumeStore
from lidcflow.volume.reduce import reduce_series

DAY_S = 86400
LOG = logging.getLogger("lidcflow")
STUDY = "1.2.3"


@pytest.fixture
def config(tmp_path):
    return Config(
        workspace=tmp_path / "workspace",
        preprocess=PreprocessConfig(slices=8, size=16),
        retention=RetentionConfig(reports_days=60),
    )


@pytest.fixture
def read(config, tmp_path, ct_series):
    """Four series that were read 100 days ago: volume and report of each, and an answer that was delivered."""
    for name in "abcd":
        ct_series(tmp_path / "source" / name)
    index = index_folder(tmp_path / "source", secret=PUBLIC_KEY)
    uids = [series.series_instance_uid for series in index.usable]
    digests = {
        series.series_instance_uid: inbox_store(config)
        .open(create=True)
        .write(series, reduce_series(series, config.preprocess))
        for series in index.usable
    }
    with Catalog(config.catalog) as catalog, Ledger(config.catalog) as ledger:
        catalog.record_verdicts(index)
        catalog.record_committed(digests, config.preprocess.digest)
        ledger.see("in", [Sighting(uid, STUDY, uid, 8) for uid in uids], release=1)
        for delivery in ledger.rows():
            ledger.advance(delivery, Step.DELIVERED)
    for uid in uids:
        write_report(config, uid)
        last_used(config, uid, days_ago=100)
    return uids


def write_report(config, uid):
    folder = config.reports_path / STUDY / uid
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DATA).write_text("{}")
    return folder


def last_used(config, uid, *, days_ago):
    then_s = time.time() - days_ago * DAY_S
    os.utime(config.reports_path / STUDY / uid / DATA, (then_s, then_s))
    when = time.strftime("%Y-%m-%d %H:%M:%S.000000", time.gmtime(then_s))
    with closing(sqlite3.connect(config.workspace / "catalog.db")) as database, database:
        database.execute("UPDATE series SET updated = ? WHERE series_instance_uid = ?", (when, uid))
    database.close()


def left(config):
    volumes = inbox_store(config).open().series_uids()
    reports = sorted(folder.name for folder in config.reports_path.glob(f"{STUDY}/*"))
    return volumes, reports


def with_retention(config, **settings):
    return config.model_copy(update={"retention": RetentionConfig(**settings)})


def test_what_is_old_goes_and_what_is_new_waited_for_or_marked_stays(config, read, caplog):
    old, new, waiting, marked = read
    last_used(config, new, days_ago=20)
    (config.reports_path / STUDY / marked / MARKS).write_text("{}")
    with Ledger(config.catalog) as ledger:
        (again,) = [row for row in ledger.rows() if row.series_instance_uid == waiting]
        ledger.retry([waiting], answered=True)
        ledger.fail(again, "pacs", "away", RetryPolicy(attempts=1))  # dead: nobody has its answer

    with caplog.at_level(logging.INFO, "lidcflow"):
        done = clean_up(config, LOG)

    kept = sorted([new, waiting, marked])
    assert left(config) == (kept, kept)
    assert (done.volumes, done.reports) == (1, 1)
    assert done.freed_bytes > 0
    assert [message.split(":")[0] for message in caplog.messages] == [f"series {old}"] * 2
    with Catalog(config.catalog) as catalog:
        assert {row.series_instance_uid: row.state for row in catalog.rows()}[old] == State.USABLE
        assert catalog.counts() == {State.COMMITTED: 3, State.USABLE: 1}


def test_nothing_goes_where_it_is_kept_for_ever_or_where_drift_still_compares_it(config, read):
    clean_up(with_retention(config, inbox_store_days=None, reports_days=None), LOG)
    compared = with_retention(config, inbox_store_days=1, reports_days=1)
    clean_up(compared.model_copy(update={"drift": compared.drift.model_copy(update={"days": 120.0})}), LOG)

    assert left(config) == (sorted(read), sorted(read))


def test_a_store_that_is_too_large_loses_its_oldest_volumes(config, read):
    oldest, second, *_ = read
    last_used(config, oldest, days_ago=400)
    last_used(config, second, days_ago=300)
    one_bytes = folder_bytes(config.workspace / "inbox-store" / "series" / oldest)

    clean_up(with_retention(config, inbox_store_days=None, inbox_store_gib=2.5 * one_bytes / 2**30), LOG)

    assert set(read) - set(left(config)[0]) == {oldest, second}


def test_a_volume_that_is_also_trained_on_stays_committed_in_the_catalog(config, read, tmp_path):
    shutil.copytree(config.workspace / "inbox-store", config.workspace / "store")

    clean_up(config, LOG)

    assert VolumeStore.of(config).series_uids() == sorted(read)
    with Catalog(config.catalog) as catalog:
        assert catalog.counts() == {State.COMMITTED: 4}


def test_a_dry_run_counts_and_deletes_nothing(config, read):
    done = clean_up(config, LOG, dry_run=True)

    assert (done.volumes, done.reports) == (4, 4)
    assert left(config) == (sorted(read), sorted(read))
    assert last_clean_up(config.workspace) is None


def test_a_clean_up_that_was_killed_is_completed_by_the_next_one(config, read, monkeypatch):
    delete, deleted = VolumeStore.delete, []

    def killed(store, uid):
        if deleted:
            raise KeyboardInterrupt
        deleted.append(uid)
        delete(store, uid)

    monkeypatch.setattr(VolumeStore, "delete", killed)
    with pytest.raises(KeyboardInterrupt):
        clean_up(config, LOG)
    monkeypatch.undo()
    (config.reports_path / ASIDE / "half").mkdir(parents=True)

    clean_up(config, LOG)

    assert left(config) == ([], [])
    assert not (config.reports_path / ASIDE / "half").exists()
    with Catalog(config.catalog) as catalog:
        assert catalog.counts() == {State.USABLE: 4}


@pytest.mark.parametrize("stage", ["inbox", "infer"])
def test_nothing_is_deleted_while_series_are_read(config, read, stage):
    with at_work(config.workspace, stage), pytest.raises(WorkspaceBusy):
        clean_up(config, LOG)

    assert left(config) == (sorted(read), sorted(read))


def test_a_log_that_grows_is_emptied_while_its_process_writes_it(tmp_path):
    log = tmp_path / "worker.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"x" * 100)
        shortened = shorten_logs(tmp_path, limit_bytes=50)
        writer.write(b"next")

    assert shortened == 1
    assert log.read_bytes() == b"next"
    assert (tmp_path / "worker.1.log").read_bytes() == b"x" * 100


def test_the_command_says_what_went_and_the_status_what_is_kept(config, read, tmp_path):
    file = tmp_path / "lidcflow.toml"
    file.write_text(f'workspace = "{config.workspace}"\n[retention]\nreports_days = 60\n')

    said = CliRunner().invoke(app, ["clean", "--config", str(file), "--json"])

    assert json.loads(said.stdout)["volumes"] == 4
    kept = status_of(config).kept
    assert (kept.prefect_days, kept.inbox_store_days, kept.reports_days) == (30, 90, 60)
    assert kept.last.reports == 4
    assert "4 volumes and 4 reports deleted" in CliRunner().invoke(app, ["status", "--config", str(file)]).stdout
