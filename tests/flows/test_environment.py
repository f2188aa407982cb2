import os

import pytest

from flows.environment import prepare, variables
from lidcflow.config import Config
from lidcflow.errors import ResourceError


@pytest.fixture(autouse=True)
def own_environment(monkeypatch):
    """Point `prepare` to a copy of the environment without what the tests themselves were started with."""
    known = variables(Config().prefect_home)
    monkeypatch.setattr(os, "environ", {name: value for name, value in os.environ.items() if name not in known})


def test_prefect_lives_in_the_workspace_and_nothing_is_reported_home(tmp_path):
    prepare(Config(workspace=tmp_path / "new" / "workspace"))

    assert os.environ["PREFECT_HOME"] == str(tmp_path / "new" / "workspace" / "prefect")
    assert (tmp_path / "new" / "workspace" / "prefect").is_dir()
    assert (os.environ["DO_NOT_TRACK"], os.environ["MLFLOW_DISABLE_TELEMETRY"]) == ("true", "true")


def test_what_the_user_has_set_stays(tmp_path):
    os.environ["PREFECT_HOME"] = str(tmp_path / "theirs")
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "0"

    prepare(Config(workspace=tmp_path / "workspace"))

    assert os.environ["PREFECT_HOME"] == str(tmp_path / "theirs")
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"
    assert not (tmp_path / "workspace").exists()


def test_a_service_keeps_prefect_s_log_lines(tmp_path):
    assert "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL" not in variables(tmp_path / "prefect", quiet=False)


def test_a_workspace_that_can_not_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(ResourceError, match="must be writable"):
        prepare(Config(workspace=tmp_path / "file" / "workspace"))
