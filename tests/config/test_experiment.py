"""Experiments as they stand in the configuration."""

import pytest

from lidcflow.config.experiment import MOST_ARMS, ExperimentConfig
from lidcflow.config.file import load_config
from lidcflow.errors import ConfigError


def loaded(folder, text):
    file = folder / "lidcflow.toml"
    file.write_text(f"[experiments.mine]\n{text}")
    return load_config(file, environ={}).experiments["mine"]


def test_every_arm_is_combined_with_every_value_of_the_grid(tmp_path):
    mine = loaded(
        tmp_path,
        'base = { "train.head" = "mlp" }\n'
        "[experiments.mine.arms]\nfine = {}\ncoarse.preprocess.size = 64\n"
        "[experiments.mine.grid]\ntrain.sector_num = [1, 5]\ntrain.seed = [0, 1]\n",
    )

    arms = list(mine.combinations())

    assert [arm.name for arm in arms[:3]] == [
        "fine, 1 sector, seed 0",
        "fine, 1 sector, seed 1",
        "fine, 5 sectors, seed 0",
    ]
    assert arms[0].configuration == arms[1].configuration == "fine, 1 sector"
    assert len(arms) == 8
    assert arms[-1].settings == {
        "train.head": "mlp",
        "preprocess.size": 64,
        "train.sector_num": 5,
        "train.seed": 1,
    }


def test_an_experiment_that_varies_seeds_alone_has_a_name_for_its_configuration():
    arms = ExperimentConfig(grid={"train.seed": [0, 1]}).combinations()

    assert [arm.name for arm in arms] == ["as configured, seed 0", "as configured, seed 1"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            'base = { "train.sectors" = 5 }',
            r"experiments\.mine: unknown key 'train\.sectors'; did you mean 'sector_num'\? known here are .*sector_num",
        ),
        ('grid = { "cluster.workers" = [1, 2] }', "unknown key 'cluster.workers'; an experiment sets keys of train, "),
        (
            "grids = {}",
            r"unknown key 'experiments\.mine\.grids'; did you mean 'grid'\? known here are arms, base, ",
        ),
        (
            'grid = { "train.sector_num" = [1, 66] }',
            r"experiments\.mine: .*at most preprocess\.slices, got 66 sectors",
        ),
        ('grid = { "train.head" = ["linear", "huge"] }', r"experiments\.mine: train\.head: .*got 'huge'"),
        (
            'grid = { "train.finetune.vews" = [1] }',
            r"unknown key 'train\.finetune\.vews'; did you mean 'views'\? known",
        ),
        ('base = { "train.a.b.c" = 5 }', r"unknown key 'train\.a\.b\.c'; an experiment sets keys of train, "),
        ('grid = { "train.seed" = [] }', r"grid\.train\.seed: .*at least 1 item"),
        ('grid = { "train.seed" = [1, 1] }', r"values of train\.seed must differ, got \[1, 1\]"),
        ('grid = { "train.seed" = [1] }\narms = { a = { "train.seed" = 2 } }', "by the arms or by the grid, got both"),
        (f'grid = {{ "train.seed" = {list(range(MOST_ARMS + 1))} }}', "arms must be at most 64, got 65"),
    ],
)
def test_an_experiment_that_can_not_run_is_refused_when_it_is_read(tmp_path, text, said):
    with pytest.raises(ConfigError, match=said) as refused:
        loaded(tmp_path, text)

    assert len(str(refused.value)) < 500


def test_the_name_of_an_experiment_names_a_folder(tmp_path):
    file = tmp_path / "lidcflow.toml"
    file.write_text('[experiments."../mine"]\n')

    with pytest.raises(ConfigError, match="must match pattern"):
        load_config(file, environ={})
