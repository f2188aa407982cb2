import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.repair import repair
from lidcflow.catalog.series import Catalog, State
from lidcflow.config import Config, PreprocessConfig
from lidcflow.errors import SeriesRefused
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.series.find import index_folder
from lidcflow.store.address import inbox_store, training_store
from lidcflow.volume.reduce import reduce_series
from tasks.cluster.open import open_cluster

WORK_AND_WAIT = """
import sys, time
from pathlib import Path
from lidcflow.config import ClusterConfig
from tasks.cluster.open import open_cluster
if __name__ == "__main__":
    with open_cluster(ClusterConfig(workers=1), "preprocess", scratch=Path(sys.argv[1])):
        print("working", flush=True)
        time.sleep(60)
"""


@pytest.fixture
def config(tmp_path):
    return Config(workspace=tmp_path / "workspace", preprocess=PreprocessConfig(slices=8, size=16))


@pytest.fixture
def stored(config, tmp_path, ct_series):
    """Three usable series: the first two in the store, the third in the inbox store, which is of another size."""
    for name in ("a", "b", "c"):
        ct_series(tmp_path / "source" / name)
    index = index_folder(tmp_path / "source", secret=PUBLIC_KEY)
    training = training_store(config)
    inbox = inbox_store(config.model_copy(update={"preprocess": PreprocessConfig(slices=8, size=32)}))
    for series, where in zip(index.usable, (training, training, inbox), strict=True):
        where.open(create=True).write(series, reduce_series(series, where.preprocess))
    with Catalog(config.catalog) as catalog:
        catalog.record_verdicts(index)
    return [series.series_instance_uid for series in index.usable]


def test_the_catalog_is_rebuilt_from_both_stores(config, stored):
    with Catalog(config.catalog) as catalog:
        catalog.record_failed({stored[1]: SeriesRefused("quarantined", "ended its worker")})

    report = repair(config)

    assert [store.series for store in report.stores] == [1, 2]
    assert report.catalog_changed == 3
    with Catalog(config.catalog) as catalog:
        assert catalog.counts() == {State.COMMITTED: 3}
        assert {row.config_digest for row in catalog.rows()} == {
            PreprocessConfig(slices=8, size=16).digest,
            PreprocessConfig(slices=8, size=32).digest,
        }


def test_a_second_repair_finds_nothing_to_do(config, stored):
    repair(config, verify=True)

    report = repair(config, verify=True)

    assert (report.catalog_changed, report.scratch_removed, report.drafts_removed, report.damaged) == (0, 0, 0, 0)


def test_a_lost_catalog_is_written_anew(config, stored):
    repair(config)
    before = datetime.now(UTC)
    (config.workspace / "catalog.db").unlink()

    repair(config)

    with Catalog(config.catalog) as catalog:
        assert [row.series_instance_uid for row in catalog.rows(State.COMMITTED)] == sorted(stored)
        assert all(row.updated > before for row in catalog.rows())


def test_folders_of_dead_workers_go_and_those_of_living_ones_stay(config):
    program = [sys.executable, "-c", WORK_AND_WAIT, str(config.scratch_path)]
    (config.workspace).mkdir()
    (config.workspace / "run.py").write_text(WORK_AND_WAIT)
    program = [sys.executable, str(config.workspace / "run.py"), str(config.scratch_path)]
    dying = subprocess.Popen(program, stdout=subprocess.PIPE, start_new_session=True, env=with_path())
    assert dying.stdout.readline() == b"working\n"
    with open_cluster(config.cluster.model_copy(update={"workers": 1}), "preprocess", scratch=config.scratch_path):
        os.killpg(dying.pid, signal.SIGKILL)
        dying.communicate()
        wait_for_orphans(dying.pid)

        report = repair(config)

        assert report.scratch_removed == 1
        assert len(worker_folders(config)) == 1
    assert worker_folders(config) == []


def with_path():
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def wait_for_orphans(group):
    for _ in range(100):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)


def worker_folders(config):
    return [entry for entry in (config.scratch_path / "dask-scratch-space").iterdir() if entry.is_dir()]


def test_unfinished_snapshots_go_when_they_are_an_hour_old(config):
    folder = config.workspace / "snapshots"
    folder.mkdir(parents=True)
    names = [f".{'a' * 12}.parquet.{'0' * 8}", f".{'b' * 12}.parquet.{'0' * 8}", f"{'a' * 12}.parquet", ".notes"]
    for name in names:
        (folder / name).touch()
        os.utime(folder / name, (0, 0))
    (folder / names[1]).touch()

    assert repair(config).drafts_removed == 1
    assert sorted(path.name for path in folder.iterdir()) == sorted(names[1:])


def test_a_workspace_that_is_not_there_is_not_made(config):
    report = repair(config)

    assert report.stores == []
    assert not config.workspace.exists()


@pytest.fixture
def lidcflow(config, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lidcflow.toml").write_text('workspace = "workspace"\n[preprocess]\nslices = 8\nsize = 16\n')
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


def test_the_command_tells_of_damage_with_exit_code_3_and_then_all_is_well(lidcflow, config, stored):
    group = config.workspace / "store" / "series" / stored[0]
    shutil.rmtree(group / "0" / "c")

    first = lidcflow("repair", "--verify")
    second = lidcflow("repair", "--verify", "--json")

    assert first.exit_code == 3
    assert f"Damaged: series {stored[0]}: removed; preprocess its source again." in first.stdout
    assert second.exit_code == 0
    assert [store["series"] for store in json.loads(second.stdout)["stores"]] == [1, 1]
    with Catalog(config.catalog) as catalog:
        assert catalog.counts() == {State.COMMITTED: 2, State.USABLE: 1}
