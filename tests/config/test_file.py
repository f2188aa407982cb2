import os
from pathlib import Path

import pytest

from lidcflow.config.file import load_config
from lidcflow.errors import ConfigError
from tests.config.faults import PASSWORD
from tests.config.written import write


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


def test_environment_goes_over_the_file(tmp_path):
    file = write(tmp_path, "[train]\nsector_num = 5\nepochs = 7\n")

    config = load_config(file, environ={"LIDCFLOW_TRAIN__SECTOR_NUM": "13", "HOME": "/nowhere"})

    assert (config.train.sector_num, config.train.epochs) == (13, 7)


def test_options_go_over_the_environment(tmp_path):
    config = load_config(write(tmp_path, ""), environ={"LIDCFLOW_WORKSPACE": "a"}, workspace="b", archive=None)

    assert str(config.workspace) == "b"


def test_an_unknown_key_is_named_with_the_known_ones(tmp_path):
    file = write(tmp_path, "[train]\nsectors = 5\n")

    with pytest.raises(ConfigError, match=r"unknown key 'train\.sectors'; did you mean 'sector_num'\? known here are "):
        load_config(file, environ={})


def test_an_unknown_environment_variable_is_refused():
    with pytest.raises(ConfigError, match=r"unknown key 'trian'"):
        load_config(environ={"LIDCFLOW_TRIAN__EPOCHS": "3"})


def test_a_value_out_of_range_is_named_with_its_key(tmp_path):
    file = write(tmp_path, "[split]\ntest = 1.5\n")

    with pytest.raises(ConfigError, match=r"split\.test: .*less than 1, got 1\.5"):
        load_config(file, environ={})


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(ConfigError, match="must exist"):
        load_config(tmp_path / "none.toml", environ={})


def test_a_file_that_is_not_toml_says_where(tmp_path):
    with pytest.raises(ConfigError, match="must be TOML"):
        load_config(write(tmp_path, "train = = 5"), environ={})


DEEP = 900


NO_FILES = {
    "folder": "got a folder",
    "loop": "got 'Too many levels of symbolic links'",
    "file/x": "got 'Not a directory'",
    "x" * 5000: "got 'File name too long'",
    "pipe": "got a pipe",
    "/dev/zero": "got a device",
    "big": "got more than 1048576 bytes",
    "nowhere": "the file must exist",
}


@pytest.mark.parametrize(("name", "found"), NO_FILES.items(), ids=lambda text: text[:12])
def test_what_is_no_file_is_named_and_never_waited_for(here, name, found):
    with pytest.raises(ConfigError, match=found):
        load_config(here / name, environ={})
    with pytest.raises(ConfigError, match=found):
        load_config(environ={"LIDCFLOW_CONFIG": name})


@pytest.mark.parametrize("kind", ["folder", "pipe", "dangling link"])
def test_what_bears_the_default_name_is_never_passed_over(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    made = {"folder": Path("lidcflow.toml").mkdir, "pipe": lambda: os.mkfifo("lidcflow.toml")}
    made.get(kind, lambda: Path("lidcflow.toml").symlink_to("gone"))()

    with pytest.raises(ConfigError, match=r"configuration lidcflow\.toml: "):
        load_config(environ={})


NO_TOML = {
    "arrays": "a = " + "[" * DEEP + "]" * DEEP,
    "tables": "a = " + "{b = " * DEEP + "1" + "}" * DEEP,
    "dotted": "a" + ".a" * 3000 + " = 1",
    "digits": "[train]\nepochs = " + "9" * 5000,
    "latin-1": "workspace = 'ä'".encode("latin-1"),
    "infinite": "[tracking]\nwait_s = inf",
    "no number": "[drift]\ndays = nan",
    "NUL": 'workspace = "w\\u0000s"',
    "NUL in a list": '[delivery]\nto = ["/x", "/y\\u0000"]',
    "twice": "workspace = 'a'\nworkspace = 'b'",
    "address": f"catalog_url = postgresql://me:{PASSWORD}@host/db",
}


@pytest.mark.parametrize("content", NO_TOML.values(), ids=NO_TOML)
def test_a_file_that_says_nothing_usable_is_refused_in_a_sentence(tmp_path, content):
    file = tmp_path / "own.toml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())

    with pytest.raises(ConfigError, match=r"configuration .*own\.toml: ") as raised:
        load_config(file, environ={})

    assert PASSWORD not in str(raised.value)
    assert len(str(raised.value)) < 1000


def test_a_file_with_a_byte_order_mark_and_line_ends_of_windows_is_read(tmp_path):
    (tmp_path / "own.toml").write_bytes(b"\xef\xbb\xbfworkspace = 'ws'\r\n[train]\r\nepochs = 7\r\n")

    assert load_config(tmp_path / "own.toml", environ={}).train.epochs == 7


CONTRADICTIONS = [
    {"LIDCFLOW_TRAIN": "5", "LIDCFLOW_TRAIN__SECTOR_NUM": "3"},
    {"LIDCFLOW_TRAIN__SECTOR_NUM__X": "3", "LIDCFLOW_TRAIN__SECTOR_NUM": "5"},
    {"LIDCFLOW_WORKSPACE": "ws", "LIDCFLOW_WORKSPACE__A__B": "3"},
    {"LIDCFLOW_ARCHIVE": "a", "LIDCFLOW_archive": "b"},
]


@pytest.mark.parametrize("environ", CONTRADICTIONS)
def test_variables_that_contradict_each_other_are_both_named(environ):
    with pytest.raises(ConfigError) as raised:
        load_config(environ=environ)

    assert all(name in str(raised.value) for name in environ)


@pytest.mark.parametrize("value", ["", " ", "w\udcffs", "w\0s"])
def test_a_variable_without_a_usable_value_is_refused(value):
    with pytest.raises(ConfigError, match="workspace"):
        load_config(environ={"LIDCFLOW_WORKSPACE": value})


@pytest.mark.parametrize("name", ["folder", "pipe", "loop", "big"])
def test_the_file_of_a_value_is_never_waited_for(here, name):
    with pytest.raises(ConfigError, match=r"LIDCFLOW_CATALOG_URL_FILE: .* must be a readable file, got "):
        load_config(environ={"LIDCFLOW_CATALOG_URL_FILE": str(here / name)})


@pytest.mark.parametrize("workspace", ["file", "file/below", "loop", "loop/below", "nowhere", "x" * 300, "pipe"])
def test_a_workspace_that_can_be_no_folder_is_refused_on_loading(here, workspace):
    with pytest.raises(ConfigError, match="workspace must be a folder, or a path that can be one, got"):
        load_config(environ={}, workspace=here / workspace)


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A configuration with a relative workspace that lies beside the file; the current folder is another one."""
    (tmp_path / "demo" / "workspace").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    return write(tmp_path / "demo", 'workspace = "workspace"\n')


def test_a_workspace_beside_the_file_is_not_taken_for_a_new_one_in_the_current_folder(elsewhere):
    with pytest.raises(ConfigError, match=r"workspace must be in the current folder .* run the command in .*demo"):
        load_config(elsewhere)


def test_a_workspace_of_the_current_folder_or_an_option_is_taken(elsewhere):
    assert load_config(elsewhere, workspace=Path("workspace")).workspace == Path("workspace")
    Path("workspace").mkdir()
    assert load_config(elsewhere).workspace == Path("workspace")


def test_a_workspace_that_is_to_be_made_and_one_behind_a_link_are_taken(here):
    (here / "link").symlink_to("folder")

    for workspace in ("new/deep/er", "folder", "link", "link/new"):
        assert load_config(environ={}, workspace=here / workspace).workspace == here / workspace


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        (
            {"LIDCFLOW_TRAIN__FOLDS": "x"},
            "variable LIDCFLOW_TRAIN__FOLDS: train.folds: must be a whole number, got 'x'",
        ),
        ({"LIDCFLOW_TRIAN__FOLDS": "3"}, "variable LIDCFLOW_TRIAN__FOLDS: unknown key 'trian'; did you mean 'train'?"),
        (
            {"LIDCFLOW_TRAIN": '{"folds": 1}'},
            "variable LIDCFLOW_TRAIN: train.folds: must be greater than or equal to 3",
        ),
        ({"LIDCFLOW_STORE": "a\ud800"}, "variable LIDCFLOW_STORE: store: must be UTF-8 text"),
        ({"LIDCFLOW_ARCHIVE": f"/{'x' * 5000}"}, "variable LIDCFLOW_ARCHIVE: archive must name files"),
        ({"LIDCFLOW_WORKSPACE": "/dev/null"}, "variable LIDCFLOW_WORKSPACE: workspace must be a folder"),
    ],
)
def test_what_a_variable_sets_wrongly_is_not_looked_for_in_the_file(tmp_path, environ, sentence):
    file = write(tmp_path, "[train]\nepochs = 3\n")

    with pytest.raises(ConfigError) as raised:
        load_config(file, environ=environ)

    assert str(raised.value).startswith(sentence)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("workspace = 3", "workspace: must be a path, as text, got 3"),
        ("train = 3", "train: must be a table, got 3"),
        ("[train]\nsector_num = 'three'", "train.sector_num: must be a whole number, got 'three'"),
        ("[gate]\nbest_ever = 'maybe'", "gate.best_ever: must be true or false, got 'maybe'"),
        ("[delivery]\nto = 'x'", "delivery.to: must be a list, got 'x'"),
        ("[delivery]\ndocuments = ['ksr']", "delivery.documents.0: must be 'kos', 'sr' or 'seg', got 'ksr'"),
        ("[drift]\ndays = 'long'", "drift.days: must be a number, got 'long'"),
        ("archive = 3", "archive: must be text, got 3"),
        ("[access.pacs.main]\nretries = 1", "access.pacs.main.url: must be set"),
    ],
)
def test_a_rule_is_told_in_words_of_the_file_not_of_python(tmp_path, text, sentence):
    with pytest.raises(ConfigError) as raised:
        load_config(write(tmp_path, text), environ={})

    assert str(raised.value).endswith(sentence)
