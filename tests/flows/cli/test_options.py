"""Odd configuration files and variables: each ends every command in one sentence and exit code 1, never in a traceback.

Each case is what is written, and a part of the sentence that answers it.
"""

import os
import sys
from pathlib import Path

import pytest

from flows.cli import main
from flows.config import own_config
from flows.environment import WHOLE_CONFIG
from lidcflow.config import Config
from lidcflow.config.file import load_config
from lidcflow.config.validators import MOST_BYTES
from lidcflow.errors import ConfigError

PASSWORD = "s3cret"
LONGEST_SENTENCE = 1000
HEX = "0x" + "f" * 5000
"""A whole number that TOML reads and Python prints only in part."""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder with things in it that are no files of text."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("LIDCFLOW_")]:
        monkeypatch.delenv(name)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("text")
    (tmp_path / "empty").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "round").symlink_to("trip")
    (tmp_path / "trip").symlink_to("round")
    (tmp_path / "nowhere").symlink_to("gone/x")
    (tmp_path / "big").write_bytes(b"#" * (MOST_BYTES + 1))
    os.mkfifo(tmp_path / "pipe")
    return tmp_path


def sentence(capsys, monkeypatch, *options):
    """Run a command that must refuse its configuration, and return what it says."""
    monkeypatch.setattr(sys, "argv", ["lidcflow", "status", *options])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr()
    assert ended.value.code == 1
    assert told.out == ""
    return told.err


def assert_one_sentence(text, part):
    assert text.startswith("error: ")
    assert text.endswith("\n")
    assert text[:-1].isprintable()
    assert part in text
    assert PASSWORD not in text.lower()
    assert len(text) < LONGEST_SENTENCE


UNREADABLE = {
    "UTF-16": ("workspace = 'a'".encode("utf-16"), "no UTF-8 text"),
    "UTF-16 without mark": ("workspace = 'a'".encode("utf-16-le"), "must be TOML"),
    "UTF-16 the other way": ("workspace = 'a'".encode("utf-16-be"), "must be TOML"),
    "UTF-32": ("workspace = 'a'".encode("utf-32"), "no UTF-8 text"),
    "Latin-1": ("workspace = 'ä'".encode("latin-1"), "no UTF-8 text"),
    "half of a surrogate": (b"workspace = '\xed\xa0\x80'", "no UTF-8 text"),
    "cut letter": ("workspace = 'ä".encode()[:-1], "no UTF-8 text"),
    "two marks": (b"\xef\xbb\xbf\xef\xbb\xbfworkspace = 'a'", "must be TOML"),
    "NUL": (b"workspace = 'a\0b'", "must be TOML"),
    "control letter": (b"workspace = 'a\x07b'", "must be TOML"),
    "line ends of old Macs": (b"workspace = 'a'\rarchive = 'b'", "must be TOML"),
    "archive": (b"PK\x03\x04\x00", "must be TOML"),
    "program": (b"\x7fELF\x00\x01", "must be TOML"),
    "JSON": (b'{"workspace": "a"}', "must be TOML"),
    "YAML": (b"workspace: a\n", "must be TOML"),
    "INI": (b"[train]\nepochs: 1", "must be TOML"),
    "HTML": (b"<html>", "must be TOML"),
    "open bracket": (b"[", "must be TOML"),
    "open quote": (b"workspace = 'a", "must be TOML"),
    "open text": (b'workspace = """a', "must be TOML"),
    "escaped surrogate": (b'workspace = "\\ud800"', "must be TOML"),
    "letter that there is not": (b'workspace = "\\UFFFFFFFF"', "must be TOML"),
    "day that there is not": (b"archive = 2020-13-45", "must be TOML"),
    "no key": (b"=", "must be TOML"),
    "one long line": (b"a" * 900_000, "must be TOML"),
    "long table twice": (b"[" + b"a" * 9000 + b"]\n[" + b"a" * 9000 + b"]", "must be TOML"),
    "thousands of digits": (b"[train]\nseed = " + b"9" * 5000, "must be TOML"),
    "key twice": (b"workspace = 'a'\nworkspace = 'b'", "must be TOML"),
    "table twice": (b"[train]\n[train]\n", "must be TOML"),
    "dotted key and table": (b"train.epochs = 1\n[train]\nepochs = 2", "must be TOML"),
    "password in no TOML": (f"catalog_url = postgresql://me:{PASSWORD}@host/db".encode(), "must be TOML"),
    "more than a file may hold": (b"#" * (MOST_BYTES + 1), "got more than 1048576 bytes"),
}

REFUSED = {
    # Deep nesting.
    "deep arrays": ("a = " + "[" * 900 + "]" * 900, "levels deep"),
    "deep tables": ("a = " + "{b = " * 900 + "1" + "}" * 900, "levels deep"),
    "deep key": ("a" + ".a" * 3000 + " = 1", "levels deep"),
    "deep arguments": (f"[cluster]\nplace = 'a.B'\narguments.a = {'[' * 200}{']' * 200}", "levels deep"),
    "deep arm": ("[experiments.x.base]\ntrain" + ".a" * 300 + " = 1", "levels deep"),
    # Numbers.
    "long integer": ("[train]\nepochs = " + "9" * 4000, "train.epochs: must be a number of at most 1024 bits"),
    "long hexadecimal": (f"[train]\nepochs = {HEX}", "train.epochs: must be a number of at most 1024 bits"),
    "long seed": (f"[train]\nseed = {HEX}", "train.seed: must be a number of at most 1024 bits"),
    "long cap": (f"[train]\ncap = {HEX}", "train.cap: must be a number of at most 1024 bits"),
    "integer for a float": (f"[drift]\ndays = {HEX}", "drift.days: must be a number of at most 1024 bits"),
    "integer that no float holds": ("[drift]\ndays = " + "9" * 400, "drift.days: must be a number of at most"),
    "long seed of an arm": (f"[experiments.x.base]\n'train.seed' = {HEX}", "1024 bits"),
    "long seed of a grid": (f"[experiments.x.grid]\n'train.seed' = [1, {HEX}]", "1024 bits"),
    "negative": ("[train]\nseed = -1", "train.seed: "),
    "port": ("[serve]\nmlflow_port = 99999999999999999999999", "serve.mlflow_port: "),
    "fraction": ("[train]\nepochs = 5.5", "train.epochs: "),
    "infinite": ("[tracking]\nwait_s = inf", "tracking.wait_s: must be a finite number"),
    "negative infinite": ("[drift]\ndays = -inf", "drift.days: must be a finite number"),
    "overflow": ("[drift]\ndays = 1e999", "drift.days: must be a finite number"),
    "no number": ("[split]\ntest = nan", "split.test: must be a finite number"),
    "infinite rate": ("[train.finetune]\nlearning_rate = inf", "learning_rate: must be a finite number"),
    "no rotation": ("[train.finetune]\nrotate_degrees = nan", "rotate_degrees: must be a finite number"),
    "infinite PACS": ("[access.pacs.main]\nurl = 'http://x'\ntimeout_s = inf", "timeout_s: must be a finite"),
    # Keys.
    "unknown": ("foo = 1", "unknown key 'foo'"),
    "another case": ("Workspace = 'a'", "unknown key 'Workspace'"),
    "section of another case": ("[TRAIN]\nepochs = 1", "unknown key 'TRAIN'"),
    "empty key": ("'' = 1", "unknown key ''"),
    "empty section": ("['']\na = 1", "unknown key ''"),
    "long key": ("x" * 5000 + " = 1", "unknown key 'xxx"),
    "long section": ("[" + "a" * 900_000 + "]", "unknown key 'aaa"),
    "many keys": ("\n".join(f"k{number} = 1" for number in range(20_000)), "unknown key 'k0'"),
    "key of two lines": ('"a\\nb" = 1', "unknown key 'a\\nb'"),
    "key that colours": ('"a\\u001b[31mb" = 1', "unknown key 'a\\x1b[31mb'"),
    "key with NUL": ('"work\\u0000" = 1', "a key must be UTF-8 text without NUL"),
    "password as key": (f'"postgresql://me:{PASSWORD}@host" = 1', "unknown key 'postgresql://...@host'"),
    # Wrong types.
    "text for a section": ("train = 'x'", "train: must be a table"),
    "number for a section": ("train = 1", "train: must be a table"),
    "list for a section": ("train = []", "train: must be a table"),
    "day for a section": ("train = 2020-01-01", "train: must be a table"),
    "truth for a section": ("train = true", "train: must be a table"),
    "array of tables": ("[[train]]\nepochs = 1", "train: must be a table"),
    "table for a key": ("[workspace]\na = 1", "workspace: "),
    "list for a key": ("workspace = ['a']", "workspace: "),
    "number for a path": ("workspace = 1", "workspace: "),
    "day for a path": ("workspace = 2020-01-01", "workspace: "),
    "time for a text": ("archive = 1979-05-27T07:32:00Z", "archive: must be text"),
    "time for a number": ("[tracking]\nwait_s = 12:00:00", "tracking.wait_s: "),
    "text for a list": ("[delivery]\nto = 'x'", "delivery.to: "),
    "number in a list": ("[delivery]\nto = [1]", "delivery.to.0: "),
    "mixed list": ("inbox = ['a', 1]", "inbox.str: "),
    "text for services": ("[access]\npacs = 'x'", "access.pacs: "),
    "text for experiments": ("experiments = 'x'", "experiments: "),
    "text for arms": ("[experiments.x]\narms = 'x'", "experiments.x.arms: "),
    "number for a grid": ("[experiments.x.grid]\n'train.epochs' = 1", "experiments.x.grid.train.epochs: "),
    "text for certificates": ("[cluster]\ntls = 'x'", "cluster.tls: "),
    # Values.
    "NUL in a value": ('workspace = "a\\u0000b"', "workspace: must be UTF-8 text without NUL"),
    "NUL in a list": ('[delivery]\nto = ["/x", "/y\\u0000"]', "delivery.to.1: must be UTF-8 text without NUL"),
    "value of two lines": ('[train]\nmode = "a\\nb"', "train.mode: "),
    "value that colours": ('[train]\nmode = "a\\u001b[31m"', "train.mode: "),
    "empty workspace": ("workspace = ''", "workspace: must name a folder"),
    "blank workspace": ("workspace = '  '", "workspace: must name a folder"),
    "workspace of many letters": ("workspace = '" + "a" * 900_000 + "'", "workspace must be a folder"),
    "workspace in a file": ("workspace = 'file/below'", "workspace must be a folder"),
    "workspace in a loop": ("workspace = 'round'", "workspace must be a folder"),
    "long folder of documents": (f"[infer]\ndocuments = '/{'x' * 5000}'", "infer.documents must name files"),
    "long target": (f"[delivery]\nto = ['/{'x' * 5000}']", "delivery.to must name files"),
    "long inbox": (f"inbox = '/{'x' * 5000}'", "inbox must name files"),
    "archive in a loop": ("archive = 'round/x'", "archive must name files"),
    "store outside": ("store = '..'", "store: "),
    "stores in each other": ("store = 'a'\ninbox_store = 'a'", "must lie apart"),
    "no labels": ("[labels]\nsource = []", "labels.source: "),
    "name of a PACS": ("[access.pacs.MAIN]\nurl = 'http://x'", "access.pacs.MAIN"),
    "PACS without address": ("[access.pacs.main]\nretries = 1", "access.pacs.main.url: must be set"),
    "user in an address": (f"[access.pacs.main]\nurl = 'http://me:{PASSWORD}@x'", "access.pacs.main.url: "),
    "day of a PACS": ("[access.pacs.main]\nurl = 'http://x'\nsince = 99999999999999999999", "access.pacs.main.since"),
    "name of an experiment": ("[experiments.'A B']\n", "experiments.A B"),
    "unknown key of an experiment": ("[experiments.x.base]\n'train.nothing' = 1", "unknown key 'train.nothing'"),
    "section of an experiment": ("[experiments.x.base]\ntrain = 1", "unknown key 'train'"),
    "long key of an experiment": (f"[experiments.x.base]\n'train.{'a' * 9000}' = 1", "experiments.x: unknown key"),
    "key of an experiment in two lines": ('[experiments.x.base]\n"a\\nb" = 1', "unknown key 'a\\nb'"),
    "empty grid": ("[experiments.x.grid]\n'train.epochs' = []", "experiments.x.grid.train.epochs: "),
    "no number in a grid": ("[experiments.x.grid]\n'train.learning_rate' = [nan, nan]", "finite number"),
    "long grid": (f"[experiments.x.grid]\n'train.seed' = {list(range(20_000))}", "arms must be at most 64, got 20000"),
    "place of a cluster": ("[cluster]\nplace = 'no where'", "cluster.place: "),
    "certificate alone": ("[cluster.tls]\nca = 'x'", "cluster.tls.certificate: must be set"),
    "port of a catalog": (f"catalog_url = 'postgresql://me:{PASSWORD}@host:x/db'", "catalog_url: "),
    "bracket in a catalog": ("catalog_url = 'postgresql://[::1'", "catalog_url: "),
    "catalog in a folder": ("catalog_url = 'sqlite:///folder'", "catalog_url must name a file, or a path"),
}


@pytest.mark.parametrize(("content", "part"), (UNREADABLE | REFUSED).values(), ids=UNREADABLE | REFUSED)
def test_an_odd_file_ends_in_a_sentence(here, capsys, monkeypatch, content, part):
    (here / "own.toml").write_bytes(content if isinstance(content, bytes) else content.encode())

    text = sentence(capsys, monkeypatch, "-c", "own.toml")

    assert_one_sentence(text, part)
    assert text.startswith("error: configuration own.toml: ")


PLACES = {
    "folder": "got a folder",
    "pipe": "got a pipe",
    "/dev/zero": "got a device",
    "loop": "got 'Too many levels of symbolic links'",
    "round": "got 'Too many levels of symbolic links'",
    "nowhere": "the file must exist",
    "none": "the file must exist",
    "file/x": "got 'Not a directory'",
    "x" * 5000: "got 'File name too long'",
    "a\nb": "a\\nb: the file must exist",
    "a\udcffb": "a\\udcffb: the file must exist",
    "~/none": "the file must exist",
    "/proc/self/mem": "got 'Input/output error'",
}


@pytest.mark.parametrize(("name", "part"), PLACES.items(), ids=lambda text: ascii(text[:12]))
def test_an_odd_place_of_the_file_ends_in_a_sentence(here, capsys, monkeypatch, name, part):
    monkeypatch.setenv("LIDCFLOW_CONFIG", name)

    assert_one_sentence(sentence(capsys, monkeypatch), part)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_ends_in_a_sentence(here, capsys, monkeypatch):
    (here / "file").chmod(0)

    assert_one_sentence(sentence(capsys, monkeypatch, "-c", "file"), "got 'Permission denied'")


VARIABLES = {
    # Names.
    "prefix alone": ({"LIDCFLOW_": "x"}, "unknown key ''"),
    "delimiter alone": ({"LIDCFLOW___": "x"}, "unknown key ''"),
    "delimiter first": ({"LIDCFLOW___TRAIN__EPOCHS": "3"}, "unknown key ''"),
    "delimiter last": ({"LIDCFLOW_TRAIN__": "x"}, "unknown key 'train.'"),
    "three for two": ({"LIDCFLOW_TRAIN___EPOCHS": "3"}, "unknown key 'train._epochs'"),
    "unknown": ({"LIDCFLOW_FOO": "3"}, "unknown key 'foo'"),
    "unknown section": ({"LIDCFLOW_TRIAN__EPOCHS": "3"}, "unknown key 'trian'"),
    "unknown in a section": ({"LIDCFLOW_TRAIN__EPOCH": "3"}, "unknown key 'train.epoch'"),
    "deep": ({"LIDCFLOW_" + "__".join("A" * 2000): "1"}, "unknown key 'a'"),
    "deep arguments": ({"LIDCFLOW_CLUSTER__ARGUMENTS__" + "__".join("A" * 300): "1"}, "levels deep"),
    "long": ({"LIDCFLOW_" + "A" * 100_000: "1"}, "unknown key 'aaa"),
    "two lines": ({"LIDCFLOW_A\nB": "1"}, "unknown key 'a\\nb'"),
    "no UTF-8": ({"LIDCFLOW_\udcff": "1"}, "a key must be UTF-8 text"),
    "no UTF-8 in arguments": ({"LIDCFLOW_CLUSTER__ARGUMENTS__\udcff": "1"}, "a key must be UTF-8 text"),
    "letter that grows in lower case": ({"LIDCFLOW_\u0130": "1"}, "unknown key 'i"),
    "password": ({f"LIDCFLOW_POSTGRESQL://ME:{PASSWORD.upper()}@HOST": "1"}, "unknown key 'postgresql://...@host'"),
    "reserved name in another case": ({"LIDCFLOW_config": "a"}, "unknown key 'config'"),
    # Variables that contradict each other.
    "two cases": ({"LIDCFLOW_archive": "a", "LIDCFLOW_ARCHIVE": "b"}, "unset one of them"),
    "section and key": ({"LIDCFLOW_TRAIN": "{}", "LIDCFLOW_TRAIN__EPOCHS": "3"}, "unset one of them"),
    "key and below": ({"LIDCFLOW_WORKSPACE": "ws", "LIDCFLOW_WORKSPACE__A": "3"}, "unset one of them"),
    "section and far below": ({"LIDCFLOW_ACCESS": "1", "LIDCFLOW_ACCESS__PACS__MAIN__URL": "x"}, "unset one of them"),
    "value and file": ({"LIDCFLOW_ARCHIVE": "x", "LIDCFLOW_ARCHIVE_FILE": "file"}, "must stand alone"),
    "value of another case and file": ({"LIDCFLOW_archive": "x", "LIDCFLOW_ARCHIVE_FILE": "file"}, "unset one"),
    # Values.
    "text for a section": ({"LIDCFLOW_TRAIN": "5"}, "train: must be a table"),
    "empty section": ({"LIDCFLOW_TRAIN": ""}, "train: must be a table"),
    "blank section": ({"LIDCFLOW_TRAIN": " "}, "train: must be a table"),
    "null for a section": ({"LIDCFLOW_TRAIN": "null"}, "train: must be a table"),
    "list for a section": ({"LIDCFLOW_TRAIN": "[]"}, "train: must be a table"),
    "broken JSON": ({"LIDCFLOW_TRAIN": "{"}, "train: must be a table"),
    "JSON with a key twice": ({"LIDCFLOW_TRAIN": '{"epochs": 1, "epochs": 2}'}, "train: must be a table"),
    "JSON with an unknown key": ({"LIDCFLOW_TRAIN": '{"epoch": 1}'}, "unknown key 'train.epoch'"),
    "JSON with no number": ({"LIDCFLOW_TRAIN": '{"learning_rate": NaN}'}, "train.learning_rate: "),
    "JSON with NUL": ({"LIDCFLOW_DELIVERY__TO": '["a\\u0000"]'}, "delivery.to.0: must be UTF-8 text without NUL"),
    "JSON with half a letter": ({"LIDCFLOW_DELIVERY__TO": '["a\\ud800"]'}, "delivery.to.0: must be UTF-8 text"),
    "JSON with thousands of digits": ({"LIDCFLOW_TRAIN": f'{{"seed": {"9" * 5000}}}'}, "train: must be a table"),
    "deep JSON list": ({"LIDCFLOW_TRAIN": "[" * 100_000}, "levels deep"),
    "deep JSON table": ({"LIDCFLOW_TRAIN": '{"a":' * 20_000}, "levels deep"),
    "JSON list for text": ({"LIDCFLOW_TRAIN__MODE": '["frozen"]'}, "train.mode: "),
    "text for a list": ({"LIDCFLOW_DELIVERY__TO": "/x"}, "delivery.to: "),
    "broken JSON list": ({"LIDCFLOW_DELIVERY__TO": '["/x"'}, "delivery.to: "),
    "text for experiments": ({"LIDCFLOW_EXPERIMENTS": "x"}, "experiments: "),
    "text for an experiment": ({"LIDCFLOW_EXPERIMENTS__X": "x"}, "experiments.x: "),
    "text for a grid": ({"LIDCFLOW_EXPERIMENTS__X__GRID": "x"}, "experiments.x.grid: "),
    "text for arguments": ({"LIDCFLOW_CLUSTER__ARGUMENTS": "x"}, "cluster.arguments: "),
    "text for a PACS": ({"LIDCFLOW_ACCESS__PACS__MAIN": "http://x"}, "access.pacs.main: "),
    "PACS without a name": ({"LIDCFLOW_ACCESS__PACS__": "x"}, "access.pacs."),
    "empty workspace": ({"LIDCFLOW_WORKSPACE": ""}, "workspace: must name a folder"),
    "workspace that is no UTF-8": ({"LIDCFLOW_WORKSPACE": "w\udcffs"}, "workspace: must be UTF-8 text"),
    "thousands of digits": ({"LIDCFLOW_TRAIN__SEED": "9" * 5000}, "train.seed: "),
    "infinite": ({"LIDCFLOW_DRIFT__DAYS": "inf"}, "drift.days: must be a finite number"),
    "no number": ({"LIDCFLOW_TRAIN__FINETUNE__GAIN": "nan"}, "train.finetune.gain: must be a finite number"),
    "no truth": ({"LIDCFLOW_GATE__BEST_EVER": "maybe"}, "gate.best_ever: "),
    "empty truth": ({"LIDCFLOW_GATE__BEST_EVER": ""}, "gate.best_ever: "),
    "another case": ({"LIDCFLOW_TRAIN__MODE": "Frozen"}, "train.mode: "),
    "password in the wrong place": ({"LIDCFLOW_TRAIN__MODE": f"postgresql://me:{PASSWORD}@host"}, "train.mode: "),
    "colons without end": ({"LIDCFLOW_TRAIN__MODE": ":" * 100_000}, "train.mode: "),
    # Files of values.
    "folder of a value": ({"LIDCFLOW_ARCHIVE_FILE": "folder"}, "got a folder"),
    "pipe of a value": ({"LIDCFLOW_ARCHIVE_FILE": "pipe"}, "got a pipe"),
    "device of a value": ({"LIDCFLOW_ARCHIVE_FILE": "/dev/zero"}, "got a device"),
    "loop of a value": ({"LIDCFLOW_ARCHIVE_FILE": "loop"}, "got 'Too many levels of symbolic links'"),
    "big file of a value": ({"LIDCFLOW_ARCHIVE_FILE": "big"}, "got more than 1048576 bytes"),
    "empty file of a value": ({"LIDCFLOW_ARCHIVE_FILE": "empty"}, "got an empty file"),
    "empty name of a file": ({"LIDCFLOW_ARCHIVE_FILE": ""}, "got a folder"),
    "long name of a file": ({"LIDCFLOW_ARCHIVE_FILE": "x" * 5000}, "got 'File name too long'"),
    "name of a file in two lines": ({"LIDCFLOW_ARCHIVE_FILE": "a\nb"}, "a\\nb must be a readable file"),
    "name of a file that is no UTF-8": ({"LIDCFLOW_ARCHIVE_FILE": "a\udcffb"}, "a\\udcffb must be a readable file"),
    "file with NUL": ({"LIDCFLOW_ARCHIVE_FILE": "/proc/self/cmdline"}, "archive: must be UTF-8 text without NUL"),
    "file of a file": ({"LIDCFLOW_ARCHIVE_FILE_FILE": "file"}, "unknown key 'archive_file'"),
    "file of a section": ({"LIDCFLOW_TRAIN_FILE": "file"}, "train: must be a table"),
    "file of nothing": ({"LIDCFLOW__FILE": "file"}, "unknown key ''"),
}


@pytest.mark.parametrize(("environ", "part"), VARIABLES.values(), ids=VARIABLES)
def test_odd_variables_end_in_a_sentence(here, capsys, monkeypatch, environ, part):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    assert_one_sentence(sentence(capsys, monkeypatch), part)


@pytest.mark.parametrize("whole", ["{", "null", "{}x", '{"workspace": 1}', "[" * 9999, f"postgresql://me:{PASSWORD}@h"])
def test_a_whole_configuration_that_is_none_is_refused(whole):
    with pytest.raises(ConfigError, match="variable LIDCFLOW_WHOLE_CONFIG: must be the configuration") as raised:
        own_config({WHOLE_CONFIG: whole})

    assert PASSWORD not in str(raised.value)


TAKEN = {
    "list as JSON": (
        {"LIDCFLOW_DELIVERY__TO": '["pacs:a", "/b"]'},
        lambda config: config.delivery.to,
        ("pacs:a", "/b"),
    ),
    "several inboxes": ({"LIDCFLOW_INBOX": '["a", "b"]'}, lambda config: config.inbox, ("a", "b")),
    "several sources": (
        {"LIDCFLOW_LABELS__SOURCE": '["lidc", "a.csv"]'},
        lambda c: c.labels.sources,
        ("lidc", "a.csv"),
    ),
    "section as JSON": ({"LIDCFLOW_TRAIN": '{"epochs": 3}'}, lambda config: config.train.epochs, 3),
    "table as JSON": (
        {"LIDCFLOW_CLUSTER__PLACE": "a.B", "LIDCFLOW_CLUSTER__ARGUMENTS": '{"n": [1]}'},
        lambda config: config.cluster.arguments,
        {"n": [1]},
    ),
    "folder with a number's name": ({"LIDCFLOW_INBOX": "123"}, lambda config: config.inbox, "123"),
    "folder with the name null": ({"LIDCFLOW_LABELS__SOURCE": "null"}, lambda config: config.labels.source, "null"),
    "folder with a bracket": ({"LIDCFLOW_INBOX": "[a"}, lambda config: config.inbox, "[a"),
    "key of arguments stays text": (
        {"LIDCFLOW_CLUSTER__PLACE": "a.B", "LIDCFLOW_CLUSTER__ARGUMENTS__N": "1"},
        lambda config: config.cluster.arguments,
        {"n": "1"},
    ),
    "any case": ({"LIDCFLOW_Train__Epochs": "3"}, lambda config: config.train.epochs, 3),
    "another prefix": ({"lidcflow_archive": "x"}, lambda config: config.archive, None),
    "PACS": ({"LIDCFLOW_ACCESS__PACS__MAIN__URL": "http://x"}, lambda c: c.access.pacs["main"].url, "http://x"),
    "empty file name": ({"LIDCFLOW_CONFIG": ""}, lambda config: config.workspace, Path("lidcflow-workspace")),
}


@pytest.mark.parametrize(("environ", "of", "expected"), TAKEN.values(), ids=TAKEN)
def test_variables_that_look_odd_are_taken(here, environ, of, expected):
    assert of(load_config(environ=environ)) == expected


def test_a_section_as_json_goes_over_its_keys_in_the_file_alone(here):
    (here / "own.toml").write_text("[train]\nepochs = 7\nseed = 2\n")

    config = load_config(here / "own.toml", environ={"LIDCFLOW_TRAIN": '{"epochs": 3}'})

    assert (config.train.epochs, config.train.seed) == (3, 2)


def test_a_configuration_takes_nothing_from_the_environment_by_itself(here, monkeypatch):
    monkeypatch.setenv("LIDCFLOW_TRAIN__EPOCHS", "3")

    assert Config().train.epochs == 30
    assert load_config().train.epochs == 3
    assert type(load_config()) is Config
