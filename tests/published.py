"""A release in the registry that was never trained, for tests of what is done with one."""

from lidcflow.config.file import load_config
from lidcflow.release.record import ReleaseRecord
from tasks.tracking import registry
from tasks.tracking.connection import Tracking
from tasks.tracking.model_files import FILE, digest_of_model
from tasks.tracking.runs import open_run


def publish(record: ReleaseRecord) -> None:
    """Register a release in the workspace of the working folder; its model is a file, for nobody loads it here."""
    tracking = Tracking.of(load_config())
    with open_run(tracking, "training") as run:
        run.text("network", f"model/{FILE}")
        model = f"{run.client.get_run(run.run_id).info.artifact_uri}/model"
        number = registry.register_model(tracking, "m", source=model, run_id=run.run_id)
        pinned = {"version": number, "sha256": digest_of_model(tracking, f"models:/m/{number}")}
        pins = tuple(pin.model_copy(update=pinned) for pin in record.sectors)
        record = record.model_copy(update={"sectors": pins})
        source = registry.release_folder(tracking, run.run_id)
        version = registry.register_model(tracking, record.name, source=source, run_id=run.run_id)
        record = record.model_copy(update={"version": version})
        registry.complete_release(tracking, record, run.run_id, "A sentence.")
