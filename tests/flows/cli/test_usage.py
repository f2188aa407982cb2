"""Wrong usage ends with exit code 2 before anything starts; a failure ends with 1."""

import pytest

from flows.cli import COMMANDS

NEEDS_ARGUMENTS = ("phantom", "index", "preprocess", "download", "infer", "promote", "experiment", "erase")

WRONG = """
phantom made --series 0
phantom made --max-slices 1
index --plan folder
labels --source
train --sectors 0
train --sectors 513
train --sectors 13 --snapshot ab
download folder made
download nothing-like-it made
releases --export made
releases --pin
releases embedded --pin
promote newest
promote 1 --force
pretrain --steps 0
pretrain --nodules
pretrain --nodules --segmenter
experiment unknown
experiment --list paper
experiment paper --data folder
evaluate --split train
infer folder --documents .lidcflow/documents
reports --port 0
inbox --step unknown
inbox retry --answered
drift --days 0
drift --days -1
deploy --profile unknown
erase --study 1.2 --series 1.3
erase --study x --dry-run
erase --patient x --dry-run
erase --list --study 1.2
demo --series 3
demo --seed -1
status --workspace file
status --workspace --json
index folder --csv --workspace elsewhere
index folder --csv --workspace=elsewhere
inbox retry --workspace --answered
""".strip().splitlines()


@pytest.fixture
def here(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("text")
    (tmp_path / "lidcflow.toml").write_text('workspace = ".lidcflow"\n')
    return tmp_path


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_value_or_options_that_exclude_each_other_are_wrong_usage(lidcflow, here, line):
    before = sorted(here.iterdir())

    done = lidcflow(*line.split())

    assert done.exit_code == 2, done.output
    assert "Error" in done.stderr
    assert sorted(here.iterdir()) == before


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("train --folds 1", "must be greater than or equal to 3, got '1'"),
        ("train --folds x", "must be a whole number, got 'x'"),
        ("demo --series 400", "must be less than or equal to 300, got '400'"),
        ("inbox --step unknown", "got 'unknown'"),
        ("experiment noduleX", "must be one of channels, classical, inputs, nodulex, paper, ranges, sectors, "),
        ("--log-level loud status", "got 'loud'"),
    ],
)
def test_a_wrong_value_is_named_beside_the_rule(lidcflow, here, line, rule):
    done = lidcflow(*line.split())

    assert done.exit_code == 2
    assert rule in " ".join(done.stderr.replace("│", "").split())


PLACES = """
demo --folder file
download idc:lidc_idri file
phantom file
drift --out file
evaluate --out file/below
evaluate --csv none/there.csv
evaluate --csv folder
index folder --csv none/there.csv
infer folder --out file
infer folder --documents file
init --out none/there.toml
labels --out none/there.csv
labels --report folder
preprocess folder --csv none/there.csv
pretrain none/there.npz
pretrain file --nodules --data folder
releases 1 --export file
""".strip().splitlines()


@pytest.mark.parametrize("line", PLACES)
def test_output_that_cant_be_written_there_is_wrong_usage_before_any_work(lidcflow, here, line):
    before = sorted(here.rglob("*"))

    done = lidcflow(*line.split())

    assert done.exit_code == 2, done.output
    assert "must be a f" in done.stderr
    assert sorted(here.rglob("*")) == before


EMPTY = [
    ("--workspace", ("status", "--workspace", "")),
    ("--workspace", ("status", "--workspace=")),
    ("--out", ("labels", "--out", " ")),
    ("SRC", ("infer", "")),
    ("SRC", ("infer", "--json", "--release", "embedded", "")),
    ("DIR", ("download", "idc:lidc_idri", "")),
    ("--documents", ("infer", "folder", "--documents", "")),
    ("DIR", ("phantom", "", "--series", "1")),
    ("--workspace", ("inbox", "retry", "--workspace", "")),
]


@pytest.mark.parametrize(("place", "arguments"), EMPTY)
def test_an_empty_argument_is_wrong_usage_and_never_the_current_folder(lidcflow, here, place, arguments):
    before = sorted(here.iterdir())

    done = lidcflow(*arguments)

    assert done.exit_code == 2, done.output
    assert f"{place}: must not be empty" in done.stderr
    assert sorted(here.iterdir()) == before


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_option_is_wrong_usage_of_every_command(lidcflow, here, command):
    assert lidcflow(command, "--no-such-option").exit_code == 2


@pytest.mark.parametrize("command", NEEDS_ARGUMENTS)
def test_a_missing_argument_is_wrong_usage(lidcflow, here, command):
    assert lidcflow(command).exit_code == 2
