"""What a public repository brings along is valid, names what there is, and is of the package's version."""

import json
import subprocess
import sys
import tomllib

import pytest
import yaml

from tests.docs.pages import ROOT

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("github-workflows", [".github/workflows/ci.yml"]),
        ("github-issue-forms", [".github/ISSUE_TEMPLATE/bug.yml", ".github/ISSUE_TEMPLATE/idea.yml"]),
        ("citation-file-format", ["CITATION.cff"]),
    ],
)
def test_files_obey_the_schemas_of_those_who_read_them(schema, files):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *files]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_workflow_runs_what_ci_runs():
    (job,) = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"].values()

    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    assert (ROOT / ".ci/run").is_file()


def test_the_hooks_run_what_make_runs():
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    entries = [hook["entry"].removeprefix(".venv/bin/") for hook in local["hooks"]]
    makefile = (ROOT / "Makefile").read_text().replace("ruff check .", "ruff check").replace("--check .", "--check")

    assert local["repo"] == "local"
    assert [entry for entry in entries if f"$(BIN)/{entry.removesuffix(' --check')}" not in makefile] == []


def test_the_container_of_a_developer_is_set_up_by_make():
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())

    assert container["postCreateCommand"] == "make setup"
    assert {"4200", "5000", "8765"} == set(container["portsAttributes"])


def test_the_citation_is_of_this_version():
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == VERSION
