"""Sources, targets and release are checked by name before anything starts."""

import pytest

from flows.service import place_checks
from flows.service.doctor import examine
from flows.service.place_checks import check_places, release_fault, source_faults, target_faults
from flows.service.status import status_of
from flows.service.up import run_services
from lidcflow.config import Config
from lidcflow.errors import ConfigError, ReleaseError
from lidcflow.store.volumes import VolumeStore


@pytest.fixture
def site(tmp_path):
    """Return a maker of configurations with an inbox and a target that are there."""
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()

    def make(**settings):
        settings = {"inbox": str(tmp_path / "in"), "delivery": {"to": [str(tmp_path / "out")]}, **settings}
        return Config.model_validate({"workspace": tmp_path / "workspace", **settings})

    return make


def test_what_is_there_is_no_fault(site):
    check_places(site(archive="idc:lidc_idri"))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"delivery": {"to": ["{folder}/gone"]}}, "delivery.to: {folder}/gone must be a folder that exists"),
        ({"delivery": {"to": ["{folder}/file"]}}, "delivery.to: {folder}/file must be a folder .*, got something else"),
        (
            {"delivery": {"to": ["{folder}/in/out"]}},
            "delivery.to: the folder {folder}/in/out must lie outside the inbox",
        ),
        ({"delivery": {"to": ["pacs:main"]}}, "delivery.to pacs:main: .* a name under"),
        ({"inbox": "{folder}/gone"}, "inbox: source {folder}/gone: must be a folder"),
        ({"inbox": ["{folder}/in", "pacs:main"]}, "inbox pacs:main: .* a name under"),
        ({"archive": "{folder}/gone"}, "archive: source {folder}/gone: must be a folder"),
    ],
)
def test_each_place_that_no_run_could_use_is_named_by_up_doctor_and_status(site, tmp_path, settings, sentence):
    (tmp_path / "file").touch()
    (tmp_path / "in" / "out").mkdir()
    config = site(**filled(settings, str(tmp_path)))
    sentence = sentence.replace("{folder}", str(tmp_path))

    with pytest.raises(ConfigError, match=sentence):
        run_services(config, lambda *_: None, lambda _: None)

    said = [examine(check, config) for check in ("sources", "targets")]
    assert [one.level for one in said].count("fail") == 1
    assert not (tmp_path / "workspace").exists()
    assert any(sentence.partition(" .*")[0].split(",")[0][:20] in one for one in status_of(config).problems)


def filled(value, folder):
    if isinstance(value, dict):
        return {key: filled(inner, folder) for key, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner, folder) for inner in value]
    return value.replace("{folder}", folder)


def test_a_target_that_can_not_be_written_is_named(site, monkeypatch):
    monkeypatch.setattr("lidcflow.inbox.targets.os.access", lambda *_: False)  # root may write anywhere

    (fault,) = target_faults(site())

    assert "must be writable" in fault


def test_all_faults_are_told_at_once(site, tmp_path):
    config = site(archive=str(tmp_path / "gone"), delivery={"to": [str(tmp_path / "away")]})

    with pytest.raises(ConfigError, match=r"archive: .*; also delivery\.to: "):
        check_places(config)


def test_an_inbox_that_no_release_can_ever_read_is_refused_and_one_that_waits_for_a_training_is_not(site, tmp_path):
    config = site()
    with pytest.raises(ReleaseError, match="there must be a release, got none"):
        release_fault(config)
    VolumeStore.of(config, create=True)  # what it holds may be trained on

    assert "the inbox waits until a release is in force" in release_fault(config)
    assert examine("release", config).level == "warn"
    with pytest.raises(ReleaseError):
        release_fault(config.model_copy(update={"infer": config.infer.model_copy(update={"release": "3"})}))


def test_the_release_is_checked_in_another_process_with_the_same_answer(site):
    with pytest.raises(ReleaseError, match="there must be a release, got none"):
        place_checks.check_release(site())

    assert place_checks.check_release(site(inbox=None)) is None
    assert list(source_faults(site(inbox=None))) == []
