"""Mutation testing: change the modules that decide values, one small change at a time; their tests must fail for each.

``make test-mutants`` runs mutmut over the modules of ``tests/mutants.toml``; ``make test-mutants MODULE=delivery`` over
one of them. A change that no test finds is a survivor: it is listed there with the reason why it may survive.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mutmut.mutation.diff_apply import get_diff_for_mutant

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "tests" / "mutants.toml"
WORK = ROOT / "build" / "mutants"

COPIED = ("lidcflow", "flows", "tasks", "tests", "deployments")

FOUND = {1, 3, 24, -24, 36, 152, 255, -9, -11}
"""Exit codes of a mutant that its tests failed for: a failure, an internal error, a time-out, a crash."""

MOVABLE = {"contextmanager", "property", "cache", "retry_while_unavailable"}
"""Decorators that work as well when they are applied after the function: mutmut leaves decorated functions alone."""


@dataclass(frozen=True)
class Change:
    """What a mutant changes: in which function, from which lines to which."""

    function: str
    was: str
    now: str


def main() -> None:
    """Run mutmut over modules; exit with 1 where too few mutants are found or an unlisted one survives."""
    table = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="module", help=f"by default all: {', '.join(table['modules'])}")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="mutants tried at the same time")
    given = parser.parse_args()
    passed = [
        check(name, table["modules"][name], table["least_found"], given.processes)
        for name in given.modules or table["modules"]
    ]
    sys.exit(0 if all(passed) else 1)


def check(name: str, module: dict, least_found: float, processes: int) -> bool:
    """Try every mutant of a module, print what survives, and return whether the module passes."""
    folder = prepare(name, module)
    status = run_mutmut(folder, processes)
    codes = exit_codes(folder, module["changed"])
    if status or not codes or None in codes.values():
        print(f"{name}: mutmut must try every mutant, got exit status {status}; see {folder / 'mutmut.log'}")
        return False
    survivors = Counter(change_of(folder, mutant) for mutant, code in codes.items() if code not in FOUND)
    return report(name, len(codes), survivors, Counter(listed(module)), least_found)


def report(name: str, total: int, survivors: Counter[Change], known: Counter[Change], least_found: float) -> bool:
    """Print how many mutants were found and which survivors the table lacks or need not have."""
    found, unlisted = total - survivors.total(), survivors - known
    print(f"{name}: {found} of {total} mutants found ({found / total:.1%}), {unlisted.total()} unlisted survive")
    for change in unlisted.elements():
        print(as_toml(change))
    for change in (known - survivors).elements():
        print(f"{name}: found now, remove it from {TABLE.name}:\n{as_toml(change)}")
    return found >= least_found * total and not unlisted


def run_mutmut(folder: Path, processes: int) -> int:
    """Run mutmut in a prepared folder and return its exit status; its output goes to ``mutmut.log`` there."""
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with open(folder / "mutmut.log", "w") as log:
        command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(processes)]
        run = subprocess.run(
            command, cwd=folder, env=os.environ | threads, stdout=log, stderr=subprocess.STDOUT, check=False
        )
    return run.returncode


def prepare(name: str, module: dict) -> Path:
    """Copy the code and its tests into a new folder, with mutmut's settings for the module."""
    folder = WORK / name
    shutil.rmtree(folder, ignore_errors=True)
    for part in COPIED:
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "cluster"))
    for file in module["changed"]:
        (folder / file).write_text(undecorated((folder / file).read_text(encoding="utf-8")), encoding="utf-8")
    settings = {
        "source_paths": ["lidcflow"],
        "only_mutate": module["changed"],
        "also_copy": [part for part in COPIED if part not in ("lidcflow", "tests")],
        "pytest_add_cli_args_test_selection": module["tests"],
        "pytest_add_cli_args": ["-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-seed=0"],
        "use_git_change_detection": False,
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (folder / "pyproject.toml").write_text("\n".join([text, "[tool.mutmut]", *lines, ""]), encoding="utf-8")
    return folder


def undecorated(source: str) -> str:
    """Apply the movable decorators in a statement after each function, so that mutmut changes the function."""
    lines = source.splitlines()
    for function in sorted(decorated(ast.parse(source)), key=lambda function: -function.lineno):
        name = function.decorator_list[0].id
        indent = " " * function.col_offset
        lines.insert(function.end_lineno, f"{indent}{function.name} = {name}({function.name})")
        del lines[function.decorator_list[0].lineno - 1]
    return "\n".join([*lines, ""])


def decorated(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    """Yield the functions and methods whose only decorator is a movable one."""
    of_classes = [part for node in tree.body if isinstance(node, ast.ClassDef) for part in node.body]
    for node in [*tree.body, *of_classes]:
        if isinstance(node, ast.FunctionDef) and len(node.decorator_list) == 1:
            decorator = node.decorator_list[0]
            if isinstance(decorator, ast.Name) and decorator.id in MOVABLE:
                yield node


def exit_codes(folder: Path, changed: list[str]) -> dict[str, int | None]:
    """Return the exit code of the tests for each mutant, by mutmut's name; None where it was not tried."""
    files = [folder / "mutants" / f"{file}.meta" for file in changed]
    metas = [json.loads(file.read_text()) for file in files if file.is_file()]
    return {mutant: code for meta in metas for mutant, code in meta["exit_code_by_key"].items()}


def change_of(folder: Path, mutant: str) -> Change:
    """Return what a mutant changes, from mutmut's diff."""
    file = Path(*mutant.split(".")[:-1]).with_suffix(".py")
    with contextlib.chdir(folder), contextlib.redirect_stdout(None):
        lines = get_diff_for_mutant(mutant, path=file).splitlines()
    body = [line for line in lines if not line.startswith(("---", "+++", "@@"))]
    was, now = (" ".join(line[1:].strip() for line in body if line.startswith(sign)) for sign in "-+")
    function = mutant.rpartition(".")[2].partition("__mutmut_")[0]
    return Change(function.removeprefix("x_").removeprefix("xǁ").replace("ǁ", "."), was, now)


def listed(module: dict) -> list[Change]:
    """Return the survivors that the table lists."""
    return [Change(*change) for group in module.get("survivors", []) for change in group["changes"]]


def as_toml(change: Change) -> str:
    """Write a survivor as the table lists it."""
    fields = [change.function, change.was, change.now]
    return f"    {json.dumps(fields, ensure_ascii=False)},"


if __name__ == "__main__":
    main()
