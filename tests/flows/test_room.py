"""Room on the disk before volumes are made."""

import pytest

from flows.room import check_room
from lidcflow.config import Config
from lidcflow.errors import ResourceError
from lidcflow.store.address import training_store


def test_more_volumes_than_the_disk_holds_are_refused_with_both_sizes(tmp_path):
    config = Config(workspace=tmp_path / "workspace")

    with pytest.raises(ResourceError, match=r"need \d+\.\d\d GiB, got \d+\.\d\d GiB free"):
        check_room(10**9, config.workspace, training_store(config))


def test_volumes_in_a_bucket_need_no_room_on_the_disk(tmp_path):
    config = Config(workspace=tmp_path / "workspace", store="s3://bucket/store")

    check_room(10**9, config.workspace, training_store(config))
