"""Every command line of infra/ is one that its program takes."""

import importlib
import shutil
import subprocess

import pytest
import typer

from tests.infra.compose import ENTRYPOINT, INFRA, PROGRAMS, SECRETS, services
from tests.infra.manifests import build, containers

OURS = {name: tuple(word for word in s.argv if word != ENTRYPOINT) for name, s in services().items() if s.is_ours}
LINES = {name: [argv] for name, argv in OURS.items()}
for _name, _container in containers(build("base")).items():
    if _name in LINES:
        LINES[_name].append(_container.argv)


def click_takes(command, words):
    """Parse all words of a command line with click, down to the last subcommand, and run nothing."""
    context = command.make_context("program", list(words))
    while hasattr(context.command, "resolve_command"):
        name, found, rest = context.command.resolve_command(context, [*context._protected_args, *context.args])
        context = found.make_context(name, rest, parent=context)
    return context


def read_dask(words):
    module = {"scheduler": "dask_scheduler", "worker": "dask_worker"}[words[0]]
    context = click_takes(importlib.import_module(f"distributed.cli.{module}").main, words[1:])
    taken = [context.params.get("scheduler") or "", *context.params["preload_argv"]]
    strange = [word for word in taken if word.startswith("-")]  # Dask takes an option it does not know as an argument
    assert not strange, f"no such option: {strange}"


def read_mlflow(words):
    click_takes(importlib.import_module("mlflow.cli").cli, words)


def read_lidcflow(words):
    click_takes(typer.main.get_command(importlib.import_module("flows.cli").app), words)


def read_prefect(words):
    app = importlib.import_module("prefect.cli._app")._app
    app.parse_args(list(words), exit_on_error=False, print_error=False)


def read_python(words):
    file = INFRA / words[0].removeprefix(f"{PROGRAMS}/")
    assert file.is_file()
    compile(file.read_text(), file, "exec")


READERS = {
    "dask": read_dask,
    "mlflow": read_mlflow,
    "lidcflow": read_lidcflow,
    "prefect": read_prefect,
    "python": read_python,
}


@pytest.mark.parametrize(("name", "argv"), [(name, argv) for name, lines in LINES.items() for argv in lines])
def test_our_programs_take_their_command_lines(name, argv, secrets):
    READERS[argv[0]]([word.replace(SECRETS, str(secrets)) for word in argv[1:]])


@pytest.mark.parametrize(
    "line",
    ["dask worker --nworker=1", "mlflow server --hots=x", "lidcflow reports --prot 1", "prefect server start --hots x"],
)
def test_a_wrong_option_is_found(line):
    program, *words = line.split()

    with pytest.raises(Exception, match=r"(?i)no such option|unknown option|hots"):
        READERS[program](words)


@pytest.mark.skipif(shutil.which("Orthanc") is None, reason="Orthanc is not installed")
def test_orthanc_takes_its_configuration(tmp_path, secrets):
    for file, name in ((INFRA / "orthanc.json", "orthanc.json"), (secrets / "orthanc_users.json", "users.json")):
        text = file.read_text().replace("/var/lib/orthanc/db", str(tmp_path / "db"))
        (tmp_path / "etc").mkdir(exist_ok=True)
        (tmp_path / "etc" / name).write_text(text)
    entry = services()["orthanc"]
    places = {"/etc/orthanc/": str(tmp_path / "etc")}

    done = subprocess.run(
        [*(places.get(word, word) for word in entry.argv), f"--config={tmp_path}/all.json"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "RegisteredUsers" in (tmp_path / "all.json").read_text()
