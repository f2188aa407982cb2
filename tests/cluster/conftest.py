"""The servers of a cluster, started once for all tests that ask for them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import postgres
from tests.cluster.deployed import Deployed, deployed
from tests.cluster.fault_table import FaultTable
from tests.cluster.network import why_not
from tests.cluster.stack import Stack, stack

OF_ONE_STACK = ("test_guards", "test_pipeline", "test_faults", "test_training_faults")
"""Files whose tests ask for `servers`: a second process of pytest would start them once more."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that keeps what the faults did."""
    parser.addoption("--write-table", action="store_true", help="write docs/faults.md from the faults of this run")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Return a scheduler that runs the tests of a file in one process, and all files that ask for `servers` in one."""
    from xdist.scheduler import LoadFileScheduling

    class OneStack(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = str(super()._split_scope(nodeid))
            return "servers" if Path(file).stem in OF_ONE_STACK else file

    return OneStack(config, log)


@pytest.fixture(scope="session")
def fault_table(request: pytest.FixtureRequest) -> Iterator[FaultTable]:
    """Yield the table that tests of faults fill in."""
    table = FaultTable()
    yield table
    if request.config.getoption("--write-table"):
        table.write()


@pytest.fixture(scope="session")
def servers() -> Iterator[Stack]:
    """Run all servers of infra/compose.yaml; tests that ask for them are skipped where they can't run."""
    if reason := why_not():
        pytest.skip(reason)
    if not postgres.is_installed():
        pytest.skip("PostgreSQL is not here (Debian package postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="lidcflow-stack-"))  # not below pytest's folder, which is root's alone
    try:
        with stack(folder) as running, pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ACCESS_KEY_ID", running.secret("s3_access_key"))
            patch.setenv("AWS_SECRET_ACCESS_KEY", running.secret("s3_secret_key"))
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def deployed_flows(servers: Stack) -> Deployed:
    """Return the deployments, with a worker that runs them."""
    return deployed(servers)


@pytest.fixture(scope="session")
def trained(deployed_flows: Deployed) -> Deployed:
    """Return the deployments after they have preprocessed the archive, trained on it and read the inbox, once."""
    for name in ("preprocess/preprocess", "retrain/retrain", "inbox/infer"):
        run = deployed_flows.run(name)
        assert run["state_type"] == "COMPLETED", run["state"]
    return deployed_flows


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Add the ends of the servers' logs to what is said of a test that failed."""
    outcome = yield
    report = outcome.get_result()
    running = getattr(item, "funcargs", {}).get("servers")
    if report.failed and isinstance(running, Stack):
        report.sections.append(("servers", running.logs()))
