"""The whole job on a cluster of real servers, through deployments, as a user does it; and the same on one machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dask.system import CPU_COUNT

from tests.cluster.deployed import SERIES, WITHIN_S, Deployed
from tests.cluster.processes import environment
from tests.cluster.stack import BIN, ROOT, SETTINGS, Stack

LOCAL = f"""
workspace = "workspace"
[cluster]
workers = {CPU_COUNT}
"""
"""One thread for each worker, as on the cluster: sums over more threads may differ in their last bits."""


class Outcome:
    """What a run came to, from the file of `tests.cluster.outcome`."""

    def __init__(self, file: Path) -> None:
        with np.load(file) as held:
            self.facts = json.loads(str(held["facts"]))
            self.arrays = {name: held[name] for name in held.files if name != "facts"}

    def of(self, kind: str) -> dict[str, Any]:
        """Return the arrays of one kind."""
        return {name: array for name, array in self.arrays.items() if name.startswith(kind)}


@pytest.fixture(scope="module")
def on_cluster(trained: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """What the deployments of the cluster came to."""
    file = tmp_path_factory.mktemp("outcomes") / "cluster.npz"
    trained.servers.run(sys.executable, "-m", "tests.cluster.outcome", str(file))
    return Outcome(file)


def run_here(command: list[str], folder: Path, servers: Stack) -> None:
    """Run a command on this machine, with the cluster's key of patients."""
    key = servers.secret("patient_key")
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(PYTHONPATH=str(ROOT), LIDCFLOW_PATIENT_KEY_SECRET=key, DO_NOT_TRACK="true"),
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def on_one_machine(trained: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Do the same on the same series with what is embedded: SQLite, folders, processes of this machine."""
    servers, folder = trained.servers, tmp_path_factory.mktemp("local")
    sources = f'archive = "{servers.archive}"\ninbox = "{servers.inbox}"\n'
    (folder / "lidcflow.toml").write_text(sources + LOCAL + SETTINGS)
    lidcflow = str(BIN / "lidcflow")
    for command in ([lidcflow, "preprocess", str(servers.archive)], [lidcflow, "retrain"], [lidcflow, "inbox", "run"]):
        run_here(command, folder, servers)
    run_here([sys.executable, "-m", "tests.cluster.outcome", "local.npz"], folder, servers)
    return Outcome(folder / "local.npz")


def test_every_service_of_the_cluster_is_healthy_by_its_own_check(servers, trained):
    found = {host: servers.health(host) for host in servers.servers if servers.is_checked(host)}

    assert {"postgres", "prefect", "mlflow", "scheduler", "train-worker", "flows", "reports"} <= found.keys()
    assert [(host, said) for host, (code, said) in found.items() if code] == []


def test_volumes_and_snapshot_are_the_same_bytes_on_a_cluster_and_on_one_machine(on_cluster, on_one_machine):
    cluster, local = on_cluster.facts, on_one_machine.facts

    assert len(local["volumes"]["store"]) == SERIES
    assert cluster["volumes"] == local["volumes"]
    for digest in ("snapshot_digest", "snapshot_id", "inputs_digest", "preprocess_digest"):
        assert cluster["release"][digest] == local["release"][digest], digest


def test_features_and_weights_are_the_same_bits_on_a_cluster_and_on_one_machine(on_cluster, on_one_machine):
    assert len(on_cluster.of("features")) == SERIES
    assert on_cluster.arrays.keys() == on_one_machine.arrays.keys()
    assert len(on_cluster.of("weights")) > 0
    for name, array in on_cluster.arrays.items():
        np.testing.assert_array_equal(array, on_one_machine.arrays[name], err_msg=name)


def test_the_same_slices_are_recommended_on_a_cluster_and_on_one_machine(on_cluster, on_one_machine):
    cluster, local = on_cluster.facts["readings"], on_one_machine.facts["readings"]

    assert len(local) == 2
    assert cluster == local
