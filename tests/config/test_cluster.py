"""Places and pools: what is merged, and what is refused."""

import pytest
from pydantic import ValidationError

from lidcflow.config import ClusterConfig
from lidcflow.config.file import load_config
from lidcflow.errors import ConfigError

SLURM = "dask_jobqueue.SLURMCluster"
KUBERNETES = "dask_kubernetes.operator.KubeCluster"


def test_work_stays_on_this_machine_unless_a_place_is_named():
    config = ClusterConfig(workers=3)

    assert [(config.pool(name).place, config.pool(name).workers) for name in ("preprocess", "train")] == [
        ("local", 3),
        ("local", 3),
    ]


def test_a_pool_takes_its_own_arguments_over_the_common_ones_of_the_same_class():
    config = ClusterConfig(
        place=SLURM,
        arguments={"queue": "long", "cores": 1},
        preprocess={"arguments": {"cores": 8}, "workers": 16},
        train={"arguments": {"queue": "gpu"}},
    )

    assert config.pool("preprocess").arguments == {"queue": "long", "cores": 8}
    assert config.pool("train").arguments == {"queue": "gpu", "cores": 1}
    assert (config.pool("preprocess").workers, config.pool("train").workers) == (16, None)


def test_a_pool_with_a_place_of_its_own_takes_nothing_of_another_class():
    config = ClusterConfig(place=SLURM, arguments={"queue": "long"}, train={"place": KUBERNETES})

    assert (config.pool("train").place, config.pool("train").arguments) == (KUBERNETES, {})


def test_all_work_goes_to_a_scheduler_that_runs_already():
    config = ClusterConfig(place=SLURM, arguments={"queue": "long"}, preprocess={"maximum": 8}, gpus=2, workers=4)

    there = config.at("tcp://127.0.0.1:8786")

    assert {there.pool(name).place for name in ("preprocess", "train")} == {"tcp://127.0.0.1:8786"}
    assert (there.pool("preprocess").maximum, there.gpus, there.workers) == (None, 2, 4)
    assert ClusterConfig.model_validate(there.model_dump()) == there


@pytest.mark.parametrize("place", ["local", "tcp://10.0.0.1:8786", "tls://scheduler:8786", KUBERNETES])
def test_three_kinds_of_place(place):
    assert ClusterConfig(place=place).pool("train").place == place


@pytest.mark.parametrize("place", ["", "scheduler", "10.0.0.1:8786", "os.system('x')", "tcp://"])
def test_anything_else_is_no_place(place):
    with pytest.raises(ValidationError, match="must be local, the address of a Dask scheduler"):
        ClusterConfig(place=place)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"arguments": {"cores": 8}}, "arguments are for a class .* place of preprocess is local"),
        ({"place": SLURM, "arguments": {"a": 1}, "train": {"place": "local", "arguments": {"a": 1}}}, "of train is"),
        ({"place": "tcp://a:1", "preprocess": {"maximum": 3}}, "maximum are for a class .* is tcp://a:1"),
        ({"place": SLURM, "preprocess": {"minimum": 3, "maximum": 2}}, "minimum must be at most maximum, got 3 and 2"),
        ({"place": SLURM, "preprocess": {"minimum": 1}}, "minimum must be at most maximum, got 1 and None"),
        ({"train": {"maximum": 2}}, "Extra inputs"),
    ],
)
def test_settings_that_would_have_no_effect_are_refused(settings, sentence):
    with pytest.raises(ValidationError, match=sentence):
        ClusterConfig(**settings)


def test_the_key_of_earlier_versions_is_refused_by_name(tmp_path):
    file = tmp_path / "lidcflow.toml"
    file.write_text('[cluster]\naddress = "tcp://127.0.0.1:8786"\n')

    with pytest.raises(ConfigError, match=r"unknown key 'cluster\.address'; .*known here are arguments, .* place, "):
        load_config(file, {})


def test_pools_and_arguments_come_from_the_file_and_the_environment(tmp_path):
    file = tmp_path / "lidcflow.toml"
    file.write_text(f'[cluster]\nplace = "{SLURM}"\narguments = {{ cores = 4 }}\npreprocess.maximum = 32\n')

    config = load_config(file, {"LIDCFLOW_CLUSTER__ARGUMENTS__QUEUE": "gpu", "LIDCFLOW_CLUSTER__TRAIN__WORKERS": "2"})

    assert config.cluster.pool("train").arguments == {"cores": 4, "queue": "gpu"}
    assert config.cluster.pool("train").workers == 2
    assert config.cluster.pool("preprocess").maximum == 32
