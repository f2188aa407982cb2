"""Nothing that a release is made of changes unnoticed: models, record, profile; releases from before digests."""

import hashlib
import itertools
import json
import logging
import os
from pathlib import Path

import numpy as np
import pytest
import yaml

from lidcflow.config import Config, TrackingConfig
from lidcflow.errors import ReleaseError
from lidcflow.learn.heads import build_head, calibrated_model
from lidcflow.stats.calibration import Calibration
from tasks.pin import pin_release
from tasks.promote import promote
from tasks.tracking import registry
from tasks.tracking.connection import Tracking, connect
from tasks.tracking.model_files import FILE, check_models, digest_of_model
from tasks.tracking.models import log_model
from tasks.tracking.profiles import find_profile
from tasks.tracking.runs import open_run
from tasks.tracking.sector_models import load_model

PROFILE = "profile/profile.json"


def head(seed):
    features = np.random.default_rng(seed).normal(size=(20, 4)).astype(np.float32)
    return calibrated_model(build_head("mlp", features, seed=seed), Calibration(2.0, (0.1, 0.2, 0.3)))


NAMES = (f"releases-{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return tmp_path_factory.mktemp("workspace")


@pytest.fixture(scope="module")
def trained():
    return head(1)


@pytest.fixture
def tracking(workspace):
    """One database for the module, other registered names for each test."""
    return Tracking.of(Config(workspace=workspace, tracking=TrackingConfig(registry_name=next(NAMES))))


@pytest.fixture
def release(tracking, release_record, trained):
    """A complete release of two sectors, the second one answered for by the model of the first."""
    name, model = tracking.registry_name, f"{tracking.registry_name}.m"
    with open_run(tracking, "training") as run:
        with open_run(tracking, "sector 1", parent_id=run.run_id) as child:
            logged = log_model(child, tracking, trained, "sector-01")
        registry.register_model(
            tracking, model, source=logged.uri, run_id=child.run_id, model_id=logged.model_id, sha256=logged.sha256
        )
        source = registry.release_folder(tracking, run.run_id)
        registry.register_model(tracking, name, source=source, run_id=run.run_id)
        facts = {"sha256": logged.sha256, "model_name": model, "version": 1}
        pins = tuple(pin.model_copy(update=facts) for pin in release_record.sectors)
        record = release_record.model_copy(update={"name": name, "version": 1, "sectors": pins})
        run.text("{}", PROFILE)
        registry.keep_profile_digest(tracking, 1, hashlib.sha256(b"{}").hexdigest())
        registry.complete_release(tracking, record, run.run_id, "A sentence.")
    return record


@pytest.fixture
def uri(release):
    return release.sectors[0].uri


@pytest.fixture
def files(tracking, release, workspace):
    """The folder of the model's files."""
    source = connect(tracking).get_model_version(release.sectors[0].model_name, "1").source
    return workspace / "mlflow" / "artifacts" / "models" / source.removeprefix("models:/") / "artifacts"


@pytest.fixture
def run_files(tracking, release, workspace):
    """The folder of what the run of the training keeps."""
    return workspace / "mlflow" / "artifacts" / registry.training_of(tracking, 1) / "artifacts"


@pytest.fixture
def record_file(run_files):
    return run_files / "release" / "release.json"


@pytest.fixture
def older(tracking, release, record_file):
    """The release as an earlier version of lidcflow made it: no digest in the record, none in the database."""
    record = json.loads(record_file.read_text())
    for pin in record["sectors"]:
        del pin["sha256"]
    del record["backbone"]["model_sha256"]
    record_file.write_text(json.dumps(record, indent=2))
    client = connect(tracking)
    for tag in ("record_sha256", "profile_sha256"):
        client.delete_model_version_tag(release.name, "1", tag)
    client.delete_model_version_tag(release.sectors[0].model_name, "1", "sha256")
    return record


def weights_of(record, tracking):
    pin = record.sectors[0]
    return load_model(tracking, pin.uri, pin.sha256).get_weights()


def other_weights(files):
    head(2).save(files / FILE)


def flipped_byte(files):
    content = bytearray((files / FILE).read_bytes())
    content[len(content) * 3 // 4] ^= 0xFF
    (files / FILE).write_bytes(bytes(content))


def leading_out(files):
    conf = yaml.safe_load((files / "MLmodel").read_text())
    conf["flavors"]["keras"]["data"] = "../../../../elsewhere"
    (files / "MLmodel").write_text(yaml.safe_dump(conf))


def exported(files):
    conf = yaml.safe_load((files / "MLmodel").read_text())
    conf["flavors"]["keras"]["save_exported_model"] = True
    (files / "MLmodel").write_text(yaml.safe_dump(conf))
    (files / "data" / "model").mkdir()
    (files / "data" / "model" / "saved_model.pb").write_bytes(b"graph")


def another_module(files):
    (files / "data" / "keras_module.txt").write_text("os")


def a_file_more(files):
    (files / "data" / "more.py").write_text("print('run')")


def a_file_less(files):
    (files / "requirements.txt").unlink()


CHANGES = [other_weights, flipped_byte, leading_out, exported, another_module, a_file_more, a_file_less]


def test_a_release_loads_as_it_was_trained(tracking, release, trained):
    loaded = registry.load_release(tracking, "1")

    assert loaded == release
    assert loaded.pinned
    for found, expected in zip(weights_of(loaded, tracking), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)
    check_models(tracking, loaded)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_whatever_changes_in_a_model_is_noticed_before_it_is_loaded(tracking, release, files, uri, change):
    change(files)

    for ask in (weights_of, lambda record, tracking: check_models(tracking, record)):
        with pytest.raises(ReleaseError) as raised:
            ask(release, tracking)
        sentence = str(raised.value)
        assert sentence.startswith(f"model {uri}: the SHA-256 of its files must be {release.sectors[0].sha256}")
        assert digest_of_model(tracking, uri) in sentence
        assert sentence.endswith("put them back from a copy, or train again")


@pytest.mark.parametrize("place", [FILE, "data", "MLmodel", "data/more", ""])
def test_no_link_leads_out_of_a_model_whatever_lies_behind_it(tracking, release, files, uri, tmp_path, place):
    there = files / place
    if there.exists():
        there.rename(tmp_path / "elsewhere")  # what lies behind the link is the very same
    there.symlink_to(tmp_path / "elsewhere")

    for sha256 in (release.sectors[0].sha256, ""):
        with pytest.raises(ReleaseError, match="must be whole in the registry, as plain files, got a link"):
            load_model(tracking, uri, sha256)


def test_a_pipe_among_the_files_is_not_waited_for(tracking, files, uri):
    (files / FILE).unlink()
    os.mkfifo(files / FILE)

    with pytest.raises(ReleaseError, match=r"a link or device at data/model\.keras"):
        load_model(tracking, uri, "")


def test_more_bytes_than_any_model_has_are_refused_uncopied(tracking, files, uri):
    with (files / "data" / "huge").open("wb") as huge:
        huge.truncate(2**40)

    with pytest.raises(ReleaseError, match=r"got 10995\d* bytes in"):
        load_model(tracking, uri, "")


def test_what_mlflow_writes_into_a_model_that_people_load_is_no_change(tracking, release, files):
    (files / "registered_model_meta").write_text("model_name: m\nmodel_version: '1'\n")

    assert weights_of(release, tracking)


@pytest.mark.parametrize("key", ["threshold_nodule", "snapshot_digest", "preprocess_digest"])
def test_another_value_in_the_record_is_noticed(tracking, release, record_file, key):
    changed = json.loads(record_file.read_text())
    changed[key] = 0.999 if key == "threshold_nodule" else "0" * 64
    record_file.write_text(json.dumps(changed, indent=2))

    with pytest.raises(
        ReleaseError, match=r"the SHA-256 of its record release\.json must be \w{64}, .*got \w{64}; it has"
    ):
        registry.load_release(tracking, "1")
    with pytest.raises(ReleaseError, match="it has changed since"):
        promote(tracking, 1, force=True, reason="why not")
    (listed,) = registry.list_releases(tracking)
    assert (listed.record, "has changed since" in listed.fault) == (None, True)
    assert registry.find_release(tracking, release.inputs_digest) is None


def test_a_record_behind_a_link_or_of_any_size_is_refused(tracking, release, record_file, tmp_path):
    record_file.rename(tmp_path / "release.json")
    record_file.symlink_to(tmp_path / "release.json")
    with pytest.raises(ReleaseError, match=r"a link or device at release\.json"):
        registry.load_release(tracking, "1")

    record_file.unlink()
    with record_file.open("wb") as huge:
        huge.truncate(2**40)
    with pytest.raises(ReleaseError, match="bytes in 1 files"):
        registry.load_release(tracking, "1")


def test_another_profile_is_noticed(tracking, run_files):
    (run_files / PROFILE).write_text("{ }")

    with pytest.raises(ReleaseError, match="the SHA-256 of its profile must be"):
        find_profile(1, tracking)


def test_a_release_from_before_digests_is_read_with_a_warning_that_names_the_way_out(tracking, older, caplog):
    with caplog.at_level(logging.WARNING):
        record = registry.load_release(tracking, "1")

    assert not record.pinned
    assert "trained before digests were kept" in caplog.text
    assert "`lidcflow releases 1 --pin`" in caplog.text
    assert weights_of(record, tracking)
    check_models(tracking, record)


def test_digests_that_somebody_wrote_into_an_older_record_are_not_believed(tracking, older, record_file):
    for pin in older["sectors"]:
        pin["sha256"] = "0" * 64
    record_file.write_text(json.dumps(older))

    assert not registry.load_release(tracking, "1").pinned


def test_an_older_model_is_loaded_in_safe_mode_from_its_own_folder_whatever_its_file_says(
    tracking, older, files, uri, trained
):
    exported(files)
    leading_out(files)

    for found, expected in zip(load_model(tracking, uri, "").get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("pinned_by", ["pin", "promotion"])
def test_an_older_release_is_pinned_by_hand_or_by_its_promotion(tracking, older, files, pinned_by, caplog):
    if pinned_by == "pin":
        pin_release(tracking, 1)
    else:
        promote(tracking, 1, force=False, reason="")
    caplog.clear()

    record = registry.load_release(tracking, "1")

    assert (record.pinned, caplog.text) == (True, "")
    assert registry.digest_of_version(tracking, record.sectors[0].model_name, 1) == record.sectors[0].sha256
    assert registry.profile_digest(tracking, 1) == hashlib.sha256(b"{}").hexdigest()
    other_weights(files)
    with pytest.raises(ReleaseError, match="the SHA-256 of its files must be"):
        weights_of(record, tracking)
    with pytest.raises(ReleaseError, match="the SHA-256 of its files must be"):
        pin_release(tracking, 1)  # it checks what is pinned, and pins nothing anew


def test_a_release_is_not_promoted_with_a_model_that_changed(tracking, release, files):
    other_weights(files)

    with pytest.raises(ReleaseError, match="the SHA-256 of its files must be"):
        promote(tracking, 1, force=True, reason="why not")
    assert registry.champion_version(tracking) is None


def test_an_older_release_whose_model_is_gone_is_not_pinned(tracking, older, files):
    (files / FILE).unlink()
    files.rename(files.with_name("gone"))

    with pytest.raises(ReleaseError, match="must be whole in the registry"):
        pin_release(tracking, 1)
    assert not registry.load_release(tracking, "1").pinned


def test_the_digest_is_what_a_shell_makes_of_the_folder(tracking, release, files):
    names = sorted(str(file.relative_to(files)) for file in files.rglob("*") if file.is_file())
    listed = "".join(f"{hashlib.sha256(Path(files, name).read_bytes()).hexdigest()}  {name}\n" for name in names)

    assert release.sectors[0].sha256 == hashlib.sha256(listed.encode()).hexdigest()
