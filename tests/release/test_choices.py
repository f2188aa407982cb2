"""Settings chosen for one training: the release keeps them until the configuration is edited there."""

import pytest

from lidcflow.config import Config, SplitConfig, TrainConfig
from lidcflow.errors import ConfigError
from lidcflow.release.choices import choices_over, kept_choices, with_choices
from lidcflow.release.record import ReleaseRecord
from lidcflow.release.retraining import changed_settings


@pytest.fixture
def configured(release_record):
    """What the configuration says: 5 sectors, where the release has 2."""
    return Config(
        preprocess=release_record.preprocess,
        labels=release_record.labels,
        split=release_record.split,
        train=TrainConfig(sector_num=5),
    )


@pytest.fixture
def chosen(release_record, configured):
    """A release whose 2 sectors were chosen by option."""
    used = with_choices(configured, {"train.sector_num": 2})
    return release_record.model_copy(update={"train": used.train, "chosen": choices_over(used, configured)})


def changes(record, config):
    return changed_settings(record, with_choices(config, kept_choices(record, config)), record.backbone.id)


def test_a_choice_by_option_is_no_change_while_the_configuration_says_what_it_said_then(chosen, configured):
    assert chosen.chosen == {"train.sector_num": 5}
    assert kept_choices(chosen, configured) == {"train.sector_num": 2}
    assert changes(chosen, configured) == ()


@pytest.mark.parametrize(("edited", "named"), [(7, ("train.sector_num",)), (2, ())])
def test_editing_the_configuration_ends_a_choice(chosen, configured, edited, named):
    config = configured.model_copy(update={"train": TrainConfig(sector_num=edited)})

    assert kept_choices(chosen, config) == {}
    assert changes(chosen, config) == named


def test_another_setting_that_is_edited_is_a_change_and_the_choice_stays(chosen, configured):
    config = configured.model_copy(update={"train": TrainConfig(sector_num=5, head="mlp")})

    assert kept_choices(chosen, config) == {"train.sector_num": 2}
    assert changes(chosen, config) == ("train.head",)


def test_a_release_without_choices_follows_the_configuration(chosen, configured):
    older = ReleaseRecord.model_validate(chosen.model_dump(mode="json", exclude={"chosen"}))

    assert kept_choices(older, configured) == {}
    assert changes(older, configured) == ("train.sector_num",)


def test_weights_of_one_machine_and_volumes_of_other_settings_are_no_choices(configured, tmp_path):
    train = TrainConfig(sector_num=5, engine="openvino", backbone_weights=tmp_path / "weights.npz")
    used = configured.model_copy(update={"train": train, "split": SplitConfig(seed=3)})

    assert choices_over(used, configured) == {"split.seed": 0}


@pytest.mark.parametrize(
    ("choices", "sentence"),
    [
        ({"train.sector_num": 0}, "train.sector_num: must be greater than or equal to 1, got 0"),
        ({"train.sector_num": 200}, "train.sector_num must be at most preprocess.slices, got 200"),
        ({"train.sectors": 2}, "unknown key 'train.sectors'"),
        ({"preprocess.size": 64}, "setting preprocess.size: must be one of"),
        ({"train": {}}, "setting train: must be one of"),
    ],
)
def test_a_choice_that_is_wrong_is_refused_in_a_sentence(choices, sentence):
    with pytest.raises(ConfigError, match=sentence):
        with_choices(Config(), choices)
