import json

from typer.testing import CliRunner

from flows.cli import app
from lidcflow.config import Config
from lidcflow.store.volumes import VolumeStore


def test_status_of_a_missing_workspace_says_so_and_makes_nothing(tmp_path):
    result = CliRunner().invoke(app, ["status", "--json", "--workspace", str(tmp_path / "none")])

    found = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (found["exists"], found["store"], found["catalog"], found["releases"]) == (False, None, None, None)
    assert list(tmp_path.iterdir()) == []


def test_status_tells_of_a_store_of_another_configuration_and_goes_on(tmp_path):
    config = Config(workspace=tmp_path)
    VolumeStore(config.store_root, config.preprocess.model_copy(update={"size": 64}))

    result = CliRunner().invoke(app, ["status", "--workspace", str(tmp_path)])

    assert result.exit_code == 0
    assert "problem:" in result.stdout
    assert "catalog      empty" in result.stdout


def test_status_warns_of_a_disk_that_is_nearly_full_and_tells_that_nothing_was_read_or_checked(tmp_path):
    (tmp_path / "lidcflow.toml").write_text("[serve]\ndisk_low_gib = 1e9\n")
    options = ["--config", str(tmp_path / "lidcflow.toml"), "--workspace", str(tmp_path)]

    result = CliRunner().invoke(app, ["status", *options])

    assert result.exit_code == 0
    assert "problem: disk of the workspace: must have 1e+09 GiB free" in result.stdout
    assert "last read    none yet" in result.stdout
    assert "drift        not checked yet" in result.stdout
