"""Ways between the pages of MLflow: from a release to its training and sector models, and back from each."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from mlflow import MlflowClient

from lidcflow.learn.description import sector_description
from lidcflow.learn.release import ReleaseRecord
from tasks.tracking.connection import Tracking, connect

WORKFLOW = "workflowType=machine_learning"
"""Without it the pages are those of language models."""

RELEASE_TAG = "release"
ABOUT_RELEASES = (
    "Releases of lidcflow: each version is a whole set of sector models that recommends slices of chest CT. The alias "
    "`champion` is on the one in force. Research use only."
)
ABOUT_SECTORS = (
    "One sector's model, features of a slice in, probabilities of its class out; a release pins which version answers. "
    "Research use only."
)


def version_page(name: str, version: int) -> str:
    """Return the page of a registered version, relative to any of MLflow's own."""
    return f"#/models/{quote(name, safe='')}/versions/{version}?{WORKFLOW}"


def run_page(experiment: str, run_id: str) -> str:
    """Return the page of a run, relative to any of MLflow's own."""
    return f"#/experiments/{experiment}/runs/{run_id}?{WORKFLOW}"


def release_links(tracking: Tracking, record: ReleaseRecord, run_id: str) -> dict[str, str]:
    """Name the pages that a release leads to: its training, card and figures, then its sector models."""
    client = connect(tracking)
    training = client.get_run(run_id).info.experiment_id
    links = {"training": run_page(training, run_id)}
    for pin in record.sectors:
        stand_in = f"sector {pin.sector}, by the all-sector model" if pin.fallback else f"sector {pin.sector}"
        links[stand_in] = version_page(pin.model_name, pin.version)
    return links


def link_back(tracking: Tracking, record: ReleaseRecord) -> None:
    """Lead from each sector model of a release, and from the run that trained it, to the release."""
    client = connect(tracking)
    _describe(client, record.name, ABOUT_RELEASES)
    for pin in {(pin.model_name, pin.version): pin for pin in record.sectors}.values():
        version = client.get_model_version(pin.model_name, str(pin.version))
        run = client.get_run(version.run_id)
        links = _back(record, run_page(run.info.experiment_id, run.info.run_id))
        client.update_model_version(pin.model_name, version.version, sector_description(record, pin, links))
        client.set_model_version_tag(pin.model_name, version.version, RELEASE_TAG, str(record.version))
        client.set_tag(run.info.run_id, RELEASE_TAG, str(record.version))
        _describe(client, pin.model_name, ABOUT_SECTORS)


def _back(record: ReleaseRecord, run: str) -> Mapping[str, str]:
    return {f"release {record.name} version {record.version}": version_page(record.name, record.version), "run": run}


def _describe(client: MlflowClient, name: str, text: str) -> None:
    """Say what a registered model is, unless somebody has said so already."""
    if not client.get_registered_model(name).description:
        client.update_registered_model(name, text)
