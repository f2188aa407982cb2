"""Ways between the pages of MLflow: from a release to its training and sector models, and back from each."""

from __future__ import annotations

from urllib.parse import quote

from mlflow import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NOTE

from lidcflow.release.description import about_sector, sector_description
from lidcflow.release.pins import SectorPin
from lidcflow.release.record import ReleaseRecord
from tasks.tracking.connection import Tracking, connect
from tasks.tracking.registry import CARD, RECORD_FOLDER

WORKFLOW = "workflowType=machine_learning"
"""Without it the pages are those of language models."""

RELEASE_TAG = "release"
ABOUT_RELEASES = (
    "Releases of lidcflow: each version is a whole set of sector models that recommends slices of chest CT. The alias "
    "`champion` is on the one in force. Research use only."
)


def version_page(name: str, version: int) -> str:
    """Return the page of a registered version, relative to any of MLflow's own."""
    return f"#/models/{quote(name, safe='')}/versions/{version}?{WORKFLOW}"


def run_page(experiment: str, run_id: str) -> str:
    """Return the page of a run, relative to any of MLflow's own."""
    return f"#/experiments/{experiment}/runs/{run_id}?{WORKFLOW}"


def release_links(tracking: Tracking, record: ReleaseRecord, run_id: str) -> dict[str, str]:
    """Name the pages that a release leads to: its training, with card and figures, and its sector models."""
    training = run_page(connect(tracking).get_run(run_id).info.experiment_id, run_id)
    links = {"training": training, "card": training.replace("?", f"/artifacts/{RECORD_FOLDER}/{CARD}?")}
    for pin in record.sectors:
        stand_in = f"sector {pin.sector}, by the all-sector model" if pin.fallback else f"sector {pin.sector}"
        links[stand_in] = version_page(pin.model_name, pin.version)
    return links


def link_back(tracking: Tracking, record: ReleaseRecord, run_id: str) -> None:
    """Lead to the release from its training's run, from its sector models and from the runs that trained them."""
    client = connect(tracking)
    release = f"[release {record.name} version {record.version}]({version_page(record.name, record.version)})"
    _describe(client, record.name, ABOUT_RELEASES)
    training = client.get_run(run_id)
    client.update_run(run_id, name=f"v{record.version}, {training.info.run_name}")
    client.set_tag(run_id, MLFLOW_RUN_NOTE, f"{training.data.tags.get(MLFLOW_RUN_NOTE, '')} It made {release}.".strip())
    below = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{run_id}'"
    for child in client.search_runs([training.info.experiment_id], below):
        client.set_tag(child.info.run_id, RELEASE_TAG, str(record.version))
    for pin in {(pin.model_name, pin.version): pin for pin in record.sectors}.values():
        _link_sector(client, record, pin, release)


def _link_sector(client: MlflowClient, record: ReleaseRecord, pin: SectorPin, release: str) -> None:
    name, version = pin.model_name, str(pin.version)
    links = {f"release {record.name} version {record.version}": version_page(record.name, record.version)}
    run_id = client.get_model_version(name, version).run_id
    if run_id:  # a version that somebody registered by hand has none
        links["run"] = run_page(client.get_run(run_id).info.experiment_id, run_id)
    client.update_model_version(name, version, sector_description(record, pin, links))
    client.set_model_version_tag(name, version, RELEASE_TAG, str(record.version))
    model = f"[{name} version {version}]({version_page(name, pin.version)})"
    if run_id:
        known = client.get_run(run_id).data.tags.get(MLFLOW_RUN_NOTE, "")
        said = f"Trained {model}, which answers in {release}. Research use only."
        client.set_tag(run_id, MLFLOW_RUN_NOTE, known if said in known else f"{said} {known}".strip())
    _describe(client, name, about_sector(record, pin))


def _describe(client: MlflowClient, name: str, text: str) -> None:
    """Describe a registered model, unless somebody has described it already."""
    if not client.get_registered_model(name).description:
        client.update_registered_model(name, text)
