"""Deployments of the cluster, as a user makes and starts them."""

from __future__ import annotations

import shutil
import subprocess
import time
from typing import Any

from flows.service.notified import LIMIT_REACHED
from tests.cluster.processes import environment
from tests.cluster.stack import BIN, ROOT, Stack

WITHIN_S = 600
SERIES = 14
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


def gave_way(run: dict[str, Any]) -> bool:
    """Return whether Prefect cancelled a run because another one of its deployment was in progress."""
    return run["state_type"] == "CANCELLED" and LIMIT_REACHED in (run["state"]["message"] or "")


class Deployed:
    """The deployments of a Prefect server, as a user starts them."""

    def __init__(self, servers: Stack) -> None:
        self.servers = servers

    def run(self, name: str) -> dict[str, Any]:
        """Start a run of a deployment, and return it once it has ended; again if one of the schedule is in progress."""
        deadline_s = time.monotonic() + WITHIN_S
        run = self.start(name)
        while (found := self.look(run))["state_type"] not in ENDED or gave_way(found):
            assert time.monotonic() < deadline_s, f"{name} must end within {WITHIN_S} s, got {found['state']}"
            time.sleep(1)
            if gave_way(found):
                run = self.start(name)
        return found

    def start(self, name: str) -> str:
        """Start a run of a deployment, and return its number."""
        with self.servers.prefect() as client:
            deployment = client.get(f"/deployments/name/{name}").raise_for_status().json()
            answer = client.post(f"/deployments/{deployment['id']}/create_flow_run", json={})
            return str(answer.raise_for_status().json()["id"])

    def look(self, run: str) -> dict[str, Any]:
        """Return a run as it stands."""
        with self.servers.prefect() as client:
            return dict(client.get(f"/flow_runs/{run}").raise_for_status().json())


def deployed(servers: Stack) -> Deployed:
    """Lay series into archive and inbox, deploy as a user does, and start the worker that runs flows."""
    which = ["--series", str(SERIES), "--max-slices", "110", "--seed", "3"]
    here = environment(PYTHONPATH=str(ROOT), PREFECT_HOME=str(servers.folder / "phantom"))
    command = [BIN / "lidcflow", "phantom", servers.archive, *which]
    subprocess.run(command, cwd=servers.folder, env=here, check=True, capture_output=True, timeout=WITHIN_S)
    for patient in sorted(servers.archive.iterdir())[:2]:
        shutil.copytree(patient, servers.inbox / patient.name)
    servers.deploy()
    servers.do("deploy")
    servers.start("flows", "reports", "orthanc")
    return Deployed(servers)
