import pytest

from lidcflow.config import Config
from lidcflow.config.experiment import ExperimentConfig
from lidcflow.errors import ConfigError
from lidcflow.experiment.builtin import BUILT_IN, PAPER_TRAINING_ACCURACY, arms_of, experiments_of


@pytest.mark.parametrize(
    ("name", "arms"), [("paper", 4), ("sectors", 9), ("inputs", 6), ("channels", 6), ("ranges", 6)]
)
def test_every_built_in_experiment_goes_with_the_defaults(name, arms):
    assert len(arms_of(name, Config())) == arms
    assert BUILT_IN[name].question


def test_the_papers_figures_stand_beside_its_arms():
    assert [arm.name for arm in arms_of("paper", Config())] == list(PAPER_TRAINING_ACCURACY)


def test_the_papers_arms_differ_in_sectors_and_size_alone():
    baseline, *others = [arm.config for arm in arms_of("paper", Config())]

    assert (baseline.train.head, baseline.train.balance, baseline.train.epochs) == ("paper", "equal", 10)
    assert [(one.train.sector_num, one.preprocess.size) for one in others] == [(1, 128), (13, 128), (5, 64)]
    assert all(one.train.model_copy(update={"sector_num": 5}) == baseline.train for one in others)


def test_an_arm_of_another_preprocessing_has_a_store_and_a_catalog_of_its_own():
    config = Config()

    scan, lung = (arm.config for arm in arms_of("ranges", config)[::3])

    assert (scan.store_root, scan.catalog) == (config.store_root, config.catalog)
    assert lung.store == f"store-{lung.preprocess.digest[:12]}"
    assert lung.catalog.endswith(f"{lung.store}.db")


def test_ones_own_experiment_stands_in_for_a_built_in_one():
    mine = ExperimentConfig(grid={"train.seed": [7]})

    assert experiments_of({"paper": mine})["paper"] == mine


def test_an_unknown_experiment_names_those_there_are():
    with pytest.raises(ConfigError, match=r"experiment papre: must be one of channels, inputs, paper, .*\[experiments"):
        arms_of("papre", Config())


def test_an_experiment_that_does_not_go_with_the_configuration_says_why():
    few = Config.model_validate({"preprocess": {"slices": 8}})

    with pytest.raises(ConfigError, match=r"experiment sectors: .*got 13 sectors of 8 slices"):
        arms_of("sectors", few)
