"""Which release reads: the configured one, or the embedded one until a release was trained."""

import pytest

from lidcflow.config import Config
from lidcflow.errors import ReleaseError
from lidcflow.release.embedded import NAME
from tasks.tracking import in_force
from tasks.tracking.in_force import configured_release, release_in_force


@pytest.fixture
def config(tmp_path):
    return Config(workspace=tmp_path / "workspace")


def named(config, release):
    return config.model_copy(update={"infer": config.infer.model_copy(update={"release": release})})


def test_the_embedded_release_stands_in_for_a_champion_where_none_was_ever_trained(config):
    assert release_in_force(config).name == NAME
    assert not config.workspace.exists()


def test_a_release_that_is_named_must_be_there(config):
    with pytest.raises(ReleaseError):
        release_in_force(named(config, "3"))
    with pytest.raises(ReleaseError):
        configured_release(config)


def test_where_releases_are_and_none_is_in_force_studies_do_not_change_hands_unnoticed(config, monkeypatch):
    monkeypatch.setattr(in_force, "list_releases", lambda _: ["a release"])

    with pytest.raises(ReleaseError):
        release_in_force(config)


def test_the_embedded_release_is_taken_wherever_it_is_named(config, monkeypatch):
    monkeypatch.setattr(in_force, "list_releases", lambda _: ["a release"])

    assert configured_release(named(config, "embedded")).name == NAME
    assert release_in_force(named(config, "embedded")).name == NAME
