"""The scheduler that is named."""

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
