"""Schedules and parameters: the file, and what the configuration fills in."""

import pytest

from flows.service.schedules import Schedule, scheduled
from lidcflow.config import Config
from lidcflow.errors import ConfigError


def test_the_configuration_overrides_schedules(tmp_path):
    serve = {"infer_every_s": 60, "retrain_cron": "0 4 * * 6", "drift_cron": "0 7 * * *", "timezone": "Europe/Berlin"}

    deployments = scheduled(Config(workspace=tmp_path, serve=serve))

    assert [str(deployment.schedules[0]) for deployment in deployments] == [
        "0 1 * * * (Europe/Berlin)",
        "0 4 * * 6 (Europe/Berlin)",
        "every 60 s",
        "0 7 * * * (Europe/Berlin)",
    ]


def test_local_paths_do_not_depend_on_the_working_folder_and_urls_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = Config(archive="ct", inbox="s3://bucket/inbox", train={"backbone_weights": "weights.h5"})

    preprocess, retrain, infer, _ = scheduled(config)

    assert preprocess.parameters["source"] == str(tmp_path / "ct")
    assert infer.parameters["sources"] == ("s3://bucket/inbox",)
    assert retrain.parameters["config"]["workspace"] == str(tmp_path / "lidcflow-workspace")
    assert retrain.parameters["config"]["train"]["backbone_weights"] == str(tmp_path / "weights.h5")


def test_a_deployment_without_its_source_is_paused_and_names_the_key():
    preprocess, retrain, infer, drift = scheduled(Config())

    assert (preprocess.missing, retrain.missing, infer.missing) == ("archive", None, "inbox")
    assert drift.missing is None
    assert preprocess.paused
    assert "source" not in preprocess.parameters


def test_inference_works_on_the_cluster_that_keeps_the_models_and_the_others_do_not():
    preprocess, _, infer, _ = scheduled(Config(archive="ct", inbox="inbox", serve={"readers_port": 8786}))

    assert infer.parameters["config"]["cluster"]["place"] == "tcp://127.0.0.1:8786"
    assert preprocess.parameters["config"]["cluster"]["place"] == "local"


@pytest.mark.parametrize(
    ("serve_settings", "sentence"),
    [
        ({"retrain_cron": "61 3 * * 0"}, "serve.retrain_cron must be a cron expression .* got '61 3"),
        ({"timezone": "Mars"}, "serve.timezone must be a name .* got 'Mars'"),
    ],
)
def test_a_schedule_that_can_not_be_read_is_named(serve_settings, sentence):
    with pytest.raises(ConfigError, match=sentence):
        scheduled(Config(serve=serve_settings))


def test_a_schedule_is_a_cron_or_an_interval():
    with pytest.raises(ValueError, match="either a cron or an interval"):
        Schedule(slug="both", cron="0 1 * * *", interval=60)
