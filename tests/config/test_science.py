"""Settings that change results."""

import pytest

from lidcflow.config import Config, LabelConfig, PreprocessConfig, TrainConfig
from lidcflow.config.file import load_config
from lidcflow.errors import ConfigError
from tests.config.written import write


def test_splits_must_leave_someone_to_train_on():
    with pytest.raises(ConfigError, match="no patient is left"):
        load_config(environ={"LIDCFLOW_SPLIT__TEST": "0.5", "LIDCFLOW_SPLIT__VALIDATION": "0.5"})


def test_more_sectors_than_slices_are_refused():
    with pytest.raises(ValueError, match=r"at most preprocess\.slices"):
        Config(train=TrainConfig(sector_num=66))


def test_the_digest_changes_with_every_setting_that_changes_voxels():
    base = PreprocessConfig()
    others = [
        PreprocessConfig(slices=64),
        PreprocessConfig(size=64),
        PreprocessConfig(z_range="lung"),
        PreprocessConfig(via_mm=1.0),
        PreprocessConfig(gaps="accept"),
    ]

    assert len({config.digest for config in [base, *others]}) == 6
    assert base.digest == PreprocessConfig().digest


def test_labels_come_from_lidc_unless_one_or_several_sources_are_named(tmp_path):
    file = tmp_path / "own.toml"
    file.write_text('[labels]\nsource = ["lidc", "own.csv"]\n')

    assert Config().labels.sources == ("lidc",)
    assert load_config(environ={"LIDCFLOW_LABELS__SOURCE": "own.csv"}).labels.sources == ("own.csv",)
    assert load_config(file, environ={}).labels.sources == ("lidc", "own.csv")


def test_what_a_release_keeps_of_the_labels_names_no_path():
    assert LabelConfig(source="/ct/Lovelace.csv").portable.source == "own"
    assert LabelConfig(source=("lidc", "/ct/Lovelace.csv")).portable.source == ("lidc", "own")
    assert LabelConfig().portable == LabelConfig()


def test_a_block_that_the_backbone_lacks_is_refused_with_those_it_has(tmp_path):
    text = '[train]\nmode = "finetune"\nbackbone = "resnet50"\n[train.finetune]\nfrom_block = "stage3"\n'

    with pytest.raises(ConfigError, match=r"from_block must be one of conv2, conv3, conv4, conv5 .* got 'stage3'"):
        load_config(write(tmp_path, text), environ={})


def test_finetuning_begins_at_the_last_block_unless_another_one_is_named():
    assert TrainConfig().first_block() is None
    assert TrainConfig(mode="finetune").first_block() == "stage3"
    assert TrainConfig(mode="finetune", backbone="resnet50").first_block() == "conv5"
    assert TrainConfig(mode="finetune", finetune={"from_block": "stage2"}).first_block() == "stage2"


def test_views_are_named_by_what_makes_them_and_there_are_none_while_the_backbone_is_frozen():
    one, other = (TrainConfig(mode="finetune", finetune={"views": 2, **more}) for more in ({}, {"offset_hu": 0}))

    assert TrainConfig(finetune={"views": 2}).view_names == ()
    assert len({*one.view_names, *other.view_names}) == 4
    assert one.view_names == TrainConfig(mode="finetune", seed=1, finetune={"views": 2, "epochs": 3}).view_names


def test_environment_and_experiments_reach_the_settings_of_finetuning():
    config = load_config(environ={"LIDCFLOW_TRAIN__FINETUNE__VIEWS": "3"})

    assert config.train.finetune.views == 3
    assert config.with_settings({"train.finetune.patience": 2}).train.finetune.patience == 2
    assert config.with_settings({"train.finetune.patience": 2}).train.finetune.views == 3
