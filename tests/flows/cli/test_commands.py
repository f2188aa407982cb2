"""The group of all commands: what it lists, and what each command leaves alone."""

import inspect
import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import typer

from flows.cli import COMMANDS, PANELS, app, load_command
from tests.published import publish

HEAVY = {"prefect", "mlflow", "keras", "tensorflow", "scipy", "sklearn", "pandas", "distributed", "zarr", "pydicom"}

PROGRAM = """
import json, sys
from flows.cli import main
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
sys.stderr.write(json.dumps(sorted(name for name in sys.modules if "." not in name)))
"""


def imported_by(*arguments):
    done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True)
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.fixture
def workspace(lidcflow, figured, tmp_path):
    """Return a workspace with a catalog, an inbox that was never looked into, and a release in force."""
    (tmp_path / "inbox").mkdir()
    (tmp_path / "lidcflow.toml").write_text('inbox = "inbox"\n')
    publish(figured)
    lidcflow("promote", 1)
    lidcflow("inbox")
    return tmp_path


def test_each_command_is_listed_with_the_first_sentence_of_its_own_help():
    own = {name: load_command(name) for name in COMMANDS}

    assert {name: " ".join(command.help.split("\n\n")[0].split()) for name, command in own.items()} == COMMANDS


def test_every_module_of_a_command_is_listed():
    modules = {file.stem for file in Path(inspect.getfile(load_command)).parent.glob("*.py")}

    parts = {"direct", "evaluate_cubes", "nodule_experiment", "pretrain_segmenter"}
    shared = {"__init__", "arguments", "bars", "lazy", "logs", "options", "output", "session", "source_lines"}
    assert modules - set(COMMANDS) == shared | parts


def test_the_help_lists_every_command_below_its_heading_in_order(lidcflow):
    shown = lidcflow("--help").stdout

    listed = [name for names in PANELS.values() for name in names]
    places = [shown.index(text) for panel, names in PANELS.items() for text in (panel, *(f"│ {one} " for one in names))]
    assert places == sorted(places)
    assert sorted(listed) == sorted(COMMANDS)


def test_a_mistyped_command_is_told_with_the_one_that_was_meant(lidcflow):
    done = lidcflow("trian")

    assert done.exit_code == 2
    assert "Did you mean 'train'" in done.stderr


def test_the_version_is_that_of_the_package(lidcflow):
    done = lidcflow("--version")

    assert (done.exit_code, done.stdout) == (0, f"lidcflow {version('lidcflow')}\n")


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_what_runs_no_command_imports_no_configuration_and_nothing_heavy(arguments):
    assert imported_by(*arguments) & {*HEAVY, "pydantic", "numpy", "sqlalchemy", "httpx"} == set()


def test_the_help_of_no_command_imports_anything_heavy():
    program = (
        "import sys; from flows.cli import COMMANDS, load_command; [*map(load_command, COMMANDS)]; print(*sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "flows.cli.doctor" in done.stdout.split()
    assert set(done.stdout.split()) & HEAVY == set()


@pytest.mark.parametrize("name", ["status", "releases", "doctor"])
@pytest.mark.usefixtures("workspace")
def test_looking_at_a_workspace_with_a_release_imports_nothing_heavy(name):
    assert imported_by(name) & HEAVY == set()


def test_the_group_can_be_read_down_to_the_options_of_a_command():
    group = typer.main.get_command(app)

    context = group.commands["inbox"].make_context("inbox", ["run", "--json"])

    assert set(context.command.commands) == {"run", "retry", "notify"}
