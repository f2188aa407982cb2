"""What workers answer before they take part."""

from lidcflow.config import Config
from lidcflow.store.address import training_store
from tasks.cluster.workers import files_of


def test_no_store_yet_is_none(tmp_path):
    assert files_of(training_store(Config(workspace=tmp_path))).store is None
