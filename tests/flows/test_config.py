"""What a run works with: what it is given, what its worker says, and what a person types over that."""

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.flow_engine import run_flow
from prefect.states import Pending

from flows import config as module
from flows.config import own_config, resolve_config, resolve_source, with_inference_cluster
from lidcflow.config import Config
from lidcflow.config.file import load_config
from lidcflow.errors import ConfigError


@pytest.fixture
def deployed(monkeypatch):
    """Make what is called count as a deployment's run."""
    monkeypatch.setattr(module, "is_of_a_deployment", lambda: True)


def test_a_command_works_with_what_it_gives_and_nothing_else(tmp_path):
    mine = Config(workspace=tmp_path, train={"seed": 5})

    assert resolve_config(mine, {"LIDCFLOW_TRAIN__SEED": "7"}) == mine


def test_the_file_of_the_variable_counts_and_its_paths_are_its_folders(tmp_path, monkeypatch):
    (tmp_path / "site.toml").write_text('workspace = "ws"\narchive = "ct"\n[train]\nseed = 5\n')
    (tmp_path / "lidcflow.toml").write_text("[train]\nseed = 6\n")
    monkeypatch.chdir(tmp_path)
    variables = {"LIDCFLOW_CONFIG": str(tmp_path / "site.toml")}

    config = own_config(variables)

    assert (config.train.seed, config.workspace, config.archive) == (5, tmp_path / "ws", str(tmp_path / "ct"))
    assert load_config(environ=variables).train.seed == 5
    assert load_config(tmp_path / "lidcflow.toml", variables).train.seed == 6


def test_what_a_person_types_goes_over_the_workers_own(tmp_path, deployed):
    own = Config(workspace=tmp_path, train={"seed": 5, "epochs": 9}, archive="ct")
    typed = Config.model_validate({"train": {"epochs": 3}, "cluster": {"gpus": 2}})

    config = resolve_config(typed, {"LIDCFLOW_WHOLE_CONFIG": own.model_dump_json()})

    assert (config.train.seed, config.train.epochs, config.cluster.gpus) == (5, 3, 2)
    assert (config.workspace, config.archive) == (tmp_path, "ct")


def test_a_deployments_run_refuses_a_workspace_that_would_go_with_its_folder(tmp_path, monkeypatch, deployed):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ConfigError, match=r"must be an absolute path .* LIDCFLOW_CONFIG="):
        resolve_config(None, {})

    assert resolve_config(None, {"LIDCFLOW_WORKSPACE": "/data/ws"}).workspace.is_absolute()


def test_a_run_without_any_source_says_which_key_is_missing():
    assert resolve_source("typed", "configured", "archive") == "typed"
    assert resolve_source(None, "configured", "archive") == "configured"
    with pytest.raises(ConfigError, match="set archive in"):
        resolve_source(None, None, "archive")


def test_scheduled_reading_goes_to_the_cluster_that_keeps_the_models_and_a_command_does_not(tmp_path, monkeypatch):
    config, variables = Config(workspace=tmp_path), {"LIDCFLOW_READERS": "tcp://127.0.0.1:8786"}

    by_hand = with_inference_cluster(config, variables).cluster.place
    monkeypatch.setattr(module, "is_of_a_deployment", lambda: True)
    scheduled = with_inference_cluster(config, variables).cluster.place

    assert (by_hand, scheduled) == ("local", "tcp://127.0.0.1:8786")


def test_only_the_run_of_a_deployment_counts_as_one_and_not_those_below_it(prefect_server):
    @flow
    def below():
        return module.is_of_a_deployment()

    @flow
    def above():
        return module.is_of_a_deployment(), below()

    with get_client(sync_client=True) as client:
        deployment = client.create_deployment(client.create_flow(above), "above")
        run = client.create_flow_run_from_deployment(deployment, state=Pending())

    assert run_flow(above, flow_run=run) == (True, False)
    assert above() == (False, False)


def test_prefect_keeps_no_secret_of_a_run_below_a_run(tmp_path, prefect_server):
    secrets = {
        "catalog_url": "postgresql+pg8000://me:a+secret@db/catalog",
        "cluster": {"place": "dask_jobqueue.SLURMCluster", "arguments": {"env_extra": ["TOKEN=a+secret"]}},
    }
    config = Config(workspace=tmp_path, **secrets)

    @flow
    def below(config: Config, more: dict[str, Config]):
        assert config.catalog_url == secrets["catalog_url"]
        return FlowRunContext.get().flow_run.id

    @flow
    def above():
        return below(config, {"one": config})

    with get_client(sync_client=True) as client:
        kept = client.read_flow_run(above()).parameters

    assert "a+secret" not in str(kept)
    assert kept["config"]["catalog_url"] == "postgresql+pg8000://me:***@db/catalog"
    assert kept["config"]["workspace"] == str(tmp_path)
    assert Config.model_validate_json(config.model_dump_json()) == config
    assert config.model_dump(mode="json")["catalog_url"] == secrets["catalog_url"]
