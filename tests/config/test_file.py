import pytest

from lidcflow.config.file import load_config
from lidcflow.errors import ConfigError


def test_a_setting_is_read_from_the_file_that_a_variable_names(tmp_path):
    file = tmp_path / "url"
    file.write_text(" postgresql+pg8000://lidcflow:secret@host/lidcflow\n")

    config = load_config(environ={"LIDCFLOW_CATALOG_URL_FILE": str(file)})

    assert config.catalog == "postgresql+pg8000://lidcflow:secret@host/lidcflow"


def test_settings_of_sections_are_read_from_files_too(tmp_path):
    (tmp_path / "uri").write_text("http://mlflow:5000")

    config = load_config(environ={"LIDCFLOW_TRACKING__URI_FILE": str(tmp_path / "uri")})

    assert config.tracking_uri == "http://mlflow:5000"


def test_the_file_of_a_setting_must_be_there(tmp_path):
    with pytest.raises(ConfigError, match=r"LIDCFLOW_ARCHIVE_FILE: .*none must be a readable file, got 'No such file"):
        load_config(environ={"LIDCFLOW_ARCHIVE_FILE": str(tmp_path / "none")})


def test_the_file_of_a_setting_must_not_be_empty(tmp_path):
    (tmp_path / "empty").write_text("\n")

    with pytest.raises(ConfigError, match=r"LIDCFLOW_ARCHIVE_FILE: .*empty must hold the value, got an empty file"):
        load_config(environ={"LIDCFLOW_ARCHIVE_FILE": str(tmp_path / "empty")})


def test_a_setting_and_its_file_do_not_go_together(tmp_path):
    (tmp_path / "archive").write_text("/data")
    both = {"LIDCFLOW_ARCHIVE": "/other", "LIDCFLOW_ARCHIVE_FILE": str(tmp_path / "archive")}

    with pytest.raises(ConfigError, match="LIDCFLOW_ARCHIVE_FILE: must stand alone, got LIDCFLOW_ARCHIVE as well"):
        load_config(environ=both)


def test_what_a_file_holds_is_not_told_when_it_is_no_value(tmp_path):
    (tmp_path / "port").write_text("postgresql://user:secret@host")

    with pytest.raises(ConfigError) as raised:
        load_config(environ={"LIDCFLOW_SERVE__MLFLOW_PORT_FILE": str(tmp_path / "port")})

    assert "secret" not in str(raised.value)


def test_a_file_with_the_key_of_the_patients_is_no_setting():
    load_config(environ={"LIDCFLOW_PATIENT_KEY_SECRET_FILE": "/run/secrets/patient_key"})


def test_a_variable_names_the_configuration_of_what_is_started_without_options(tmp_path):
    (tmp_path / "own.toml").write_text('archive = "/data"')
    environ = {"LIDCFLOW_CONFIG": str(tmp_path / "own.toml")}

    assert load_config(environ=environ).archive == "/data"
    assert load_config(environ=environ | {"LIDCFLOW_ARCHIVE": "/other"}).archive == "/other"


def test_the_file_that_the_variable_names_must_be_there(tmp_path):
    with pytest.raises(ConfigError, match="the file must exist; check the path after --config or in LIDCFLOW_CONFIG"):
        load_config(environ={"LIDCFLOW_CONFIG": str(tmp_path / "none.toml")})
