import pytest

from lidcflow.config import Config, LabelConfig, PreprocessConfig, TrainConfig
from lidcflow.config.file import load_config
from lidcflow.errors import ConfigError


def write(folder, text):
    file = folder / "lidcflow.toml"
    file.write_text(text)
    return file


def test_environment_goes_over_the_file(tmp_path):
    file = write(tmp_path, "[train]\nsector_num = 5\nepochs = 7\n")

    config = load_config(file, environ={"LIDCFLOW_TRAIN__SECTOR_NUM": "13", "HOME": "/nowhere"})

    assert (config.train.sector_num, config.train.epochs) == (13, 7)


def test_options_go_over_the_environment(tmp_path):
    config = load_config(write(tmp_path, ""), environ={"LIDCFLOW_WORKSPACE": "a"}, workspace="b", archive=None)

    assert str(config.workspace) == "b"


def test_an_unknown_key_is_named_with_the_known_ones(tmp_path):
    file = write(tmp_path, "[train]\nsectors = 5\n")

    with pytest.raises(ConfigError, match=r"unknown key 'train\.sectors'; known here are .*sector_num"):
        load_config(file, environ={})


def test_an_unknown_environment_variable_is_refused():
    with pytest.raises(ConfigError, match=r"unknown key 'trian'"):
        load_config(environ={"LIDCFLOW_TRIAN__EPOCHS": "3"})


def test_a_value_out_of_range_is_named_with_its_key(tmp_path):
    file = write(tmp_path, "[split]\ntest = 1.5\n")

    with pytest.raises(ConfigError, match=r"split\.test: .*less than 1, got 1\.5"):
        load_config(file, environ={})


def test_splits_must_leave_someone_to_train_on():
    with pytest.raises(ConfigError, match="no patient is left"):
        load_config(environ={"LIDCFLOW_SPLIT__TEST": "0.5", "LIDCFLOW_SPLIT__VALIDATION": "0.5"})


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(ConfigError, match="must exist"):
        load_config(tmp_path / "none.toml", environ={})


def test_a_file_that_is_not_toml_says_where(tmp_path):
    with pytest.raises(ConfigError, match="must be TOML"):
        load_config(write(tmp_path, "train = = 5"), environ={})


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


@pytest.mark.parametrize("place", ["store", "s3://bucket", "s3://bucket/a/b.c"])
def test_a_store_lies_in_the_workspace_or_in_a_bucket(place, tmp_path):
    config = Config(workspace=tmp_path, store=place)

    assert config.store_root == (place if "://" in place else str(tmp_path / place))


@pytest.mark.parametrize(
    "place", ["", "..", "a/b", "/data", "s3://", "s3://bucket/../x", "s3://bucket/", "idc://bucket"]
)
def test_a_store_lies_nowhere_else(place):
    with pytest.raises(ValueError, match="String should match pattern"):
        Config(store=place)


@pytest.mark.parametrize(
    ("store", "inbox"),
    [("same", "same"), ("s3://b1/a", "s3://b1/a"), ("s3://b1", "s3://b1/a"), ("s3://b1/a/b", "s3://b1/a")],
)
def test_two_stores_lie_apart(store, inbox):
    with pytest.raises(ValueError, match="must lie apart"):
        Config(store=store, inbox_store=inbox)


def test_stores_whose_names_begin_alike_lie_apart():
    config = Config(store="s3://bucket/store", inbox_store="s3://bucket/store-inbox")

    assert (config.store_root, config.inbox_store_root) == ("s3://bucket/store", "s3://bucket/store-inbox")


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


def test_documents_that_name_patients_stay_out_of_the_workspace(tmp_path):
    with pytest.raises(ConfigError, match="must lie outside the workspace"):
        load_config(workspace=tmp_path, infer={"documents": tmp_path / "documents"})
    assert load_config(workspace=tmp_path / "work", infer={"documents": tmp_path}).infer.documents == tmp_path


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
