"""A missing backend of Keras is named before any work, where this machine would need it."""

import pytest

from lidcflow.config import ClusterConfig, Config
from lidcflow.errors import EngineError
from lidcflow.learn.backend import require_backend, require_backend_for


@pytest.fixture
def without_tensorflow(monkeypatch):
    monkeypatch.setattr("lidcflow.learn.backend.find_spec", lambda _: None)
    monkeypatch.delenv("KERAS_BACKEND", raising=False)


def test_missing_tensorflow_is_named_with_the_way_to_install_it(without_tensorflow):
    with pytest.raises(EngineError, match=r"its backend tensorflow must be installed .* pip install 'lidcflow\[cpu\]'"):
        require_backend()


def test_another_backend_is_named_by_its_own_name(without_tensorflow, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(EngineError, match=r"its backend jax must be installed .* install jax"):
        require_backend()


def test_workers_elsewhere_need_none_here(without_tensorflow):
    require_backend_for(Config(cluster=ClusterConfig(place="tcp://scheduler:8786")))
    with pytest.raises(EngineError):
        require_backend_for(Config())
