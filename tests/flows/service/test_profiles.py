"""Profiles: what several machines must reach."""

import pytest

from flows.service.profiles import check_profile, is_shared, local_only
from lidcflow.config import Config
from lidcflow.errors import ConfigError

FAR = {
    "store": "s3://bucket/store",
    "catalog_url": "postgresql+pg8000://lidcflow@db/catalog",
    "tracking": {"uri": "https://mlflow.example"},
    "cluster": {"place": "tcp://scheduler:8786"},
}


def test_this_machine_asks_for_nothing(tmp_path):
    assert check_profile("local", Config(workspace=tmp_path)) == []


def test_each_key_that_is_good_on_one_machine_alone_is_named_with_its_way_out(tmp_path):
    with pytest.raises(ConfigError) as refused:
        check_profile("cluster", Config(workspace=tmp_path))

    for key in ("cluster.place: local", "catalog_url: SQLite", "tracking.uri: sqlite is", "store: it is a folder"):
        assert key in str(refused.value)


@pytest.mark.parametrize("key", FAR)
def test_one_such_key_is_enough(tmp_path, key):
    settings = {name: value for name, value in FAR.items() if name != key}

    found = local_only(Config(workspace=tmp_path, **settings))

    assert [name.split(".")[0] for name in found] == [key]


def test_what_several_machines_reach_passes_and_loopback_is_doubted(tmp_path, monkeypatch):
    near = {
        **FAR,
        "cluster": {"place": "tcp://127.0.0.1:8786"},
        "access": {"s3": {"endpoint": "http://localhost:9000"}},
    }
    monkeypatch.setattr("flows.service.profiles.is_shared", lambda _: True)

    assert check_profile("cluster", Config(workspace=tmp_path, **FAR)) == []
    assert [doubt.split(" names")[0] for doubt in check_profile("cluster", Config(workspace=tmp_path, **near))] == [
        "access.s3.endpoint",
        "cluster.place of preprocess",
        "cluster.place of train",
    ]


def test_a_workspace_on_a_disk_of_this_machine_is_doubted_and_a_mounted_one_is_not(tmp_path, monkeypatch):
    class Mount:
        def __init__(self, mountpoint, fstype):
            self.mountpoint, self.fstype = mountpoint, fstype

    monkeypatch.setattr(
        "flows.service.profiles.psutil.disk_partitions",
        lambda **_: [Mount("/", "ext4"), Mount(str(tmp_path / "nfs"), "nfs4")],
    )

    assert is_shared(tmp_path / "nfs" / "workspace")
    assert not is_shared(tmp_path / "nfs-like")
    (doubt,) = check_profile("cluster", Config(workspace=tmp_path, **FAR))
    assert doubt.startswith("workspace is on a disk of this machine")
