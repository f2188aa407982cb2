"""Fixtures of flows that preprocess."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lidcflow.config import ClusterConfig
from tasks.cluster.open import open_cluster


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Yield the address of a cluster with one worker that preprocesses, for all tests of a module."""
    with open_cluster(ClusterConfig(workers=1), "preprocess") as cluster:
        yield cluster.address
