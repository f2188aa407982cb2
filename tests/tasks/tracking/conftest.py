"""Fixtures of these tests."""

import pytest

from lidcflow.config import Config, TrackingConfig
from tasks.tracking import registry
from tasks.tracking.connection import Tracking
from tasks.tracking.model_files import FILE, digest_of_model
from tasks.tracking.runs import open_run
from tests.tasks.tracking.names import NAMES


@pytest.fixture(scope="session")
def workspace(tmp_path_factory):
    return tmp_path_factory.mktemp("workspace")


@pytest.fixture
def tracking(workspace):
    """One database for all tests, another registered name for each."""
    return Tracking.of(Config(workspace=workspace, tracking=TrackingConfig(registry_name=next(NAMES))))


@pytest.fixture
def publish(tracking, release_record):
    """Registers one more release and returns its record; its model is a file, for nobody loads it here."""
    name = f"{tracking.registry_name}.m"
    with open_run(tracking, "sector") as run:
        run.text("network", f"model/{FILE}")
        source = f"{run.client.get_run(run.run_id).info.artifact_uri}/model"
        registry.register_model(tracking, name, source=source, run_id=run.run_id)
    pinned = {"model_name": name, "version": 1, "sha256": digest_of_model(tracking, f"models:/{name}/1")}
    sectors = tuple(pin.model_copy(update=pinned) for pin in release_record.sectors)

    def register(*, complete=True, **changes):
        with open_run(tracking, "training") as run:
            source = registry.release_folder(tracking, run.run_id)
            version = registry.register_model(tracking, tracking.registry_name, source=source, run_id=run.run_id)
            facts = {"name": tracking.registry_name, "version": version, "sectors": sectors, **changes}
            record = release_record.model_copy(update=facts)
            if complete:
                registry.complete_release(tracking, record, run.run_id, "A sentence.")
        return record

    return register
