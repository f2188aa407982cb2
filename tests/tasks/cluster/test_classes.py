"""Cluster classes: how one is found, what is said of one that can't be used, and the arguments in the docs."""

import inspect
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

from lidcflow.config import ClusterConfig
from lidcflow.errors import ConfigError, ResourceError
from tasks.cluster.classes import class_cluster, cluster_class
from tasks.cluster.connect import security_argument

pytestmark = pytest.mark.filterwarnings("ignore:unclosed cluster with a broken __repr__:ResourceWarning")
"""Dask's word on a cluster whose making ended with an error."""

DOCS = Path(__file__).parents[3] / "docs" / "cluster.md"


def documented(place):
    """Return the settings of docs/cluster.md that name a class."""
    blocks = [block.partition("```")[0] for block in DOCS.read_text().split("```toml")[1:]]
    return ClusterConfig(**next(tomllib.loads(block)["cluster"] for block in blocks if f'"{place}"' in block))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("no_such_package.Cluster", "got no module no_such_package; pip install 'no-such-package'"),
        ("distributed.no_such_module.Cluster", r"got no module distributed\.no_such_module"),
        ("distributed.NoSuchCluster", "got nothing of that name in distributed"),
        (
            "distributed.Client",
            "must be a class that starts a Dask cluster, got type <class 'distributed.client.Client'>",
        ),
        ("os.path.join", "must be a class that starts a Dask cluster, got function"),
    ],
)
def test_what_is_no_cluster_class_is_named_with_the_way_out(name, sentence):
    with pytest.raises(ConfigError, match=sentence):
        cluster_class(name)


def test_the_extra_that_brings_a_class_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "dask_jobqueue", None)

    with pytest.raises(ConfigError, match=r"pip install 'lidcflow\[slurm\]'"):
        cluster_class("dask_jobqueue.SLURMCluster")


def opened(place, **arguments):
    return class_cluster(ClusterConfig(place=place, arguments=arguments).pool("train"), None)


def test_arguments_that_a_class_does_not_take_are_told_in_its_own_words():
    sentence = (
        r"class must take cluster\.arguments, got security must be a Security object; they are n_workers, security"
    )

    with (
        pytest.raises(ConfigError, match=sentence),
        opened("distributed.LocalCluster", security="none", n_workers=0),
    ):
        pass


def test_a_queue_without_its_settings_says_what_it_lacks(tmp_path, monkeypatch):
    pytest.importorskip("dask_jobqueue")

    with (
        pytest.raises(ConfigError, match="got You must specify how much cores and memory"),
        opened("dask_jobqueue.SLURMCluster"),
    ):
        pass


def test_a_cluster_that_can_not_start_is_told_apart_from_wrong_arguments(monkeypatch):
    monkeypatch.setattr("distributed.LocalCluster.__init__", refuse)

    with pytest.raises(ResourceError, match="the cluster must start, got ConnectionRefusedError: no one"):
        opened("distributed.LocalCluster").__enter__()


def refuse(self):
    raise ConnectionRefusedError("no one answers")


def test_the_documented_arguments_make_the_documented_job_script():
    dask_jobqueue = pytest.importorskip("dask_jobqueue")
    config = documented("dask_jobqueue.SLURMCluster")
    scripts = {}

    for name in ("preprocess", "train"):
        local = {"interface": "lo", "scheduler_options": {"dashboard_address": "127.0.0.1:0"}}
        with dask_jobqueue.SLURMCluster(**config.pool(name).arguments, **local) as cluster:
            scripts[name] = cluster.job_script()

    assert "#SBATCH -p cpu" in scripts["preprocess"]
    assert "#SBATCH --mem=4G" in scripts["preprocess"]
    assert "#SBATCH -p gpu" in scripts["train"]
    assert "#SBATCH --gres=gpu:1" in scripts["train"]
    assert "--resources GPU=1" in scripts["train"]
    assert "--nthreads 1" in scripts["train"]


def test_the_documented_arguments_make_a_dask_cluster_of_kubernetes():
    operator = pytest.importorskip("dask_kubernetes.operator")
    arguments = documented("dask_kubernetes.operator.KubeCluster").pool("preprocess").arguments

    inspect.signature(operator.KubeCluster.__init__).bind(None, **arguments)
    spec = operator.make_cluster_spec("lidcflow", **{key: arguments[key] for key in ("image", "env", "resources")})

    (container,) = spec["spec"]["worker"]["spec"]["containers"]
    assert container["image"] == f"registry.example/lidcflow:{version('lidcflow')}"
    assert container["resources"]["limits"]["memory"] == "4Gi"
    assert {"name": "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "value": "2"} in container["env"]


def test_a_class_that_can_not_encrypt_is_refused_where_encryption_is_asked_for(tmp_path):
    operator = pytest.importorskip("dask_kubernetes.operator")
    tls = ClusterConfig(tls={name: tmp_path / name for name in ("ca", "certificate", "key")}).tls

    with pytest.raises(ConfigError, match=r"must take a security argument, got KubeCluster .* tls:// address"):
        security_argument(operator.KubeCluster, tls)
    assert security_argument(operator.KubeCluster, None) == {}
