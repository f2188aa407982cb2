"""Ways between the pages of MLflow, in an embedded database."""

import pytest

from lidcflow.config import Config
from lidcflow.stats.estimate import Estimate
from tasks.tracking import browse, registry
from tasks.tracking.connection import Tracking, connect
from tasks.tracking.runs import open_run

MODELS = ("lidcflow.02-sectors.sector-01", "lidcflow.01-sectors.sector-01")


@pytest.fixture(scope="module")
def tracking(tmp_path_factory):
    return Tracking.of(Config(workspace=tmp_path_factory.mktemp("workspace")))


@pytest.fixture
def published(tracking, release_record):
    """A release of two sectors, the second one read by the all-sector model; returns it with its run."""
    with open_run(tracking, "2 sectors, compact, linear", note="A training.") as training:
        pins = []
        for name, pin in zip(MODELS, release_record.sectors, strict=True):
            with open_run(tracking, name, parent_id=training.run_id) as run:
                source = registry.release_folder(tracking, run.run_id)
                version = registry.register_model(tracking, name, source=source, run_id=run.run_id)
            found = {"auroc_nodule": Estimate(value=0.8)}
            pins.append(pin.model_copy(update={"model_name": name, "version": version, "test": found}))
        source = registry.release_folder(tracking, training.run_id)
        version = registry.register_model(tracking, "lidcflow", source=source, run_id=training.run_id)
        record = release_record.model_copy(update={"version": version, "sectors": tuple(pins)})
        browse.link_back(tracking, record, training.run_id)
    return record, training.run_id


def test_a_release_leads_to_its_training_its_card_and_its_sector_models(tracking, published):
    record, run_id = published

    links = browse.release_links(tracking, record, run_id)

    pin = record.sectors[0]
    assert links["training"] == f"#/experiments/1/runs/{run_id}?workflowType=machine_learning"
    assert links["card"] == f"#/experiments/1/runs/{run_id}/artifacts/release/card.md?workflowType=machine_learning"
    assert links["sector 1"] == f"#/models/{MODELS[0]}/versions/{pin.version}?workflowType=machine_learning"
    assert links["sector 2, by the all-sector model"].startswith(f"#/models/{MODELS[1]}/versions/")


def test_a_sector_model_and_its_run_lead_back_to_the_release(tracking, published):
    record, _ = published
    client, pin = connect(tracking), record.sectors[1]

    version = client.get_model_version(pin.model_name, str(pin.version))
    run = client.get_run(version.run_id)

    page = f"(#/models/lidcflow/versions/{record.version}?workflowType=machine_learning)"
    assert version.description.startswith("Turns the features of a slice of the whole chest into P(non-nodule)")
    assert f"[release lidcflow version {record.version}]{page}" in version.description
    assert f"[run](#/experiments/1/runs/{version.run_id}?" in version.description
    assert version.tags["release"] == run.data.tags["release"] == str(record.version)
    assert page in run.data.tags["mlflow.note.content"]


def test_the_run_of_a_training_is_named_after_its_release_and_leads_to_it(tracking, published):
    record, run_id = published

    run = connect(tracking).get_run(run_id)

    assert run.info.run_name == f"v{record.version}, 2 sectors, compact, linear"
    assert run.data.tags["mlflow.note.content"].startswith("A training. It made [release lidcflow version ")


def test_registered_models_say_what_they_are_and_keep_what_people_wrote(tracking, published):
    record, run_id = published
    client = connect(tracking)
    assert client.get_registered_model(MODELS[0]).description.startswith("The model of sector 1 of 2: features")
    client.update_registered_model("lidcflow", "Ours.")

    browse.link_back(tracking, record, run_id)

    assert client.get_registered_model("lidcflow").description == "Ours."


def test_a_sector_model_that_was_registered_by_hand_is_linked_without_a_run(tracking, release_record):
    client, name = connect(tracking), "lidcflow.by-hand"
    with open_run(tracking, "by hand", note="A training.") as training:
        source = registry.release_folder(tracking, training.run_id)
        client.create_registered_model(name)
        version = int(client.create_model_version(name, source).version)
        pin = release_record.sectors[0].model_copy(update={"model_name": name, "version": version})
        made = registry.register_model(tracking, "lidcflow", source=source, run_id=training.run_id)
        record = release_record.model_copy(update={"version": made, "sectors": (pin,)})

        browse.link_back(tracking, record, training.run_id)

    linked = client.get_model_version(name, str(version))
    assert not linked.run_id
    assert f"[release lidcflow version {made}]" in linked.description
    assert "[run]" not in linked.description
