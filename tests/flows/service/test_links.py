"""Pages worth opening, of a workspace with and without a release, whose MLflow server answers or not."""

import json

import httpx
import pytest

from flows.service import links
from flows.service.links import served_pages
from lidcflow.config import Config


@pytest.fixture
def config(tmp_path):
    return Config(workspace=tmp_path)


def answering(monkeypatch, status, content):
    request = httpx.Request("GET", "http://127.0.0.1:5000")
    monkeypatch.setattr(links.httpx, "get", lambda *_, **__: httpx.Response(status, text=content, request=request))


def test_pages_lead_to_the_release_in_force_and_to_the_runs_of_the_experiment(config, monkeypatch):
    answering(monkeypatch, 200, json.dumps({"experiment": {"experiment_id": "7"}}))
    monkeypatch.setattr(links, "champion_version", lambda _: 3)

    pages = served_pages(config)

    assert pages["  release"] == "http://127.0.0.1:5000/#/models/lidcflow/versions/3?workflowType=machine_learning"
    assert pages["  trainings"] == "http://127.0.0.1:5000/#/experiments/7/runs?workflowType=machine_learning"
    assert pages["  deployments"] == "http://127.0.0.1:4200/deployments"
    assert pages["Reports"] == "http://127.0.0.1:8765"


@pytest.mark.parametrize(("status", "content"), [(404, ""), (200, "no JSON"), (200, "{}")])
def test_without_a_training_pages_lead_to_all_releases_and_experiments(config, monkeypatch, status, content):
    answering(monkeypatch, status, content)

    pages = served_pages(config)

    assert pages["  release"] == "http://127.0.0.1:5000/#/models/lidcflow?workflowType=machine_learning"
    assert pages["  trainings"] == "http://127.0.0.1:5000/#/experiments?workflowType=machine_learning"
