"""The scheduler that is named."""

import threading

import pytest

from lidcflow.config import ClusterConfig
from lidcflow.errors import ResourceError
from tasks.cluster import connect
from tasks.cluster.open import open_cluster


def test_a_scheduler_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(connect, "SCHEDULER_WITHIN_S", 0.5)
    config = ClusterConfig(place="tcp://127.0.0.1:9")

    with pytest.raises(ResourceError, match="127\\.0\\.0\\.1:9: must be running"), open_cluster(config, "train"):
        pass


def test_a_client_that_does_not_encrypt_as_the_scheduler_does_leaves_no_thread_behind():
    before = set(threading.enumerate())

    with (
        pytest.raises(ResourceError, match="both sides must encrypt or neither"),
        open_cluster(ClusterConfig(place="tls://127.0.0.1:9"), "train"),
    ):
        pass

    assert set(threading.enumerate()) <= before
