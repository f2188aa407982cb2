"""Make a workspace by an older commit of lidcflow, and open it by this one: nothing is refused, nothing differs.

    .venv/bin/python benchmarks/older_workspace.py COMMIT [--series 32] [--keep DIR]

The older commit is checked out beside the tree by `git worktree` and runs in the same environment. Both trees run the
whole job on the same synthetic CT. Printed is whether

- the voxels and features of both are equal byte for byte,
- the records of both releases are equal, and the recommendations for the new studies,
- this tree finds the older workspace's series, release and trainings: a second run of the whole job in it makes no
  volume, trains no sector, and registers nothing,
- `status`, `releases`, `snapshots`, `doctor`, `evaluate`, `drift` and `repair` work on the older workspace.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
MAIN = "from flows.cli import main; main()"
COMMANDS = ("status", "releases", "snapshots", "doctor", "evaluate", "drift", "repair")
DERIVED = {"created", "sha256", "model_sha256", "generated_by", "report", "run_id"}
"""Keys of release records and recommendations whose values name a run, a moment or a folder."""


def main() -> None:
    """Make both workspaces, compare them, and open the older one."""
    options = parse()
    with tempfile.TemporaryDirectory(prefix="lidcflow-older-") as scratch:
        folder = options.keep or Path(scratch)
        older, newer = folder / "older", folder / "newer"
        with checked_out(options.commit) as tree:
            demo(tree, older, options.series)
        demo(ROOT, newer, options.series)
        rows = [*compared(older, newer), *opened(older, options.series)]
    for name, holds in rows:
        print(f"{'yes' if holds else 'NO ':3}  {name}")
    sys.exit(not all(holds for _, holds in rows))


def parse() -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commit", help="the older commit, as git names it")
    parser.add_argument("--series", type=int, default=32)
    parser.add_argument("--keep", type=Path, help="folder to work in and to leave")
    return parser.parse_args()


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """Yield a working tree of an older commit, which is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="lidcflow-commit-") as scratch:
        tree = Path(scratch) / "tree"
        git("worktree", "add", "--quiet", "--detach", str(tree), commit)
        try:
            yield tree
        finally:
            git("worktree", "remove", "--force", str(tree))


def git(*arguments: str) -> None:
    """Run git in the repository."""
    subprocess.run(["git", "-C", str(ROOT), *arguments], check=True)


def run(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of lidcflow as the tree has it."""
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    command = [sys.executable, "-P", "-c", MAIN, *arguments]
    return subprocess.run(command, env=environment, cwd=tree, capture_output=True, text=True)


def demo(tree: Path, folder: Path, series: int) -> dict[str, Any]:
    """Run the whole job on synthetic CT, and return its report."""
    done = run(tree, "demo", "--json", "--folder", str(folder), "--series", str(series))
    if done.returncode:
        raise SystemExit(f"demo in {tree}: must end with exit code 0, got {done.returncode}\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def compared(older: Path, newer: Path) -> list[tuple[str, bool]]:
    """Return what the two workspaces have in common."""
    return [
        (name, found(older) == found(newer) != {})
        for name, found in (
            ("voxels and features are equal byte for byte", chunks_of),
            (
                "the releases are equal: figures, threshold, sectors, gate",
                partial(facts_of, name="release.json"),
            ),
            ("recommendations are equal", partial(facts_of, name="recommendations.json")),
        )
    ]


def chunks_of(folder: Path) -> dict[str, bytes]:
    """Return all voxels and features as they are stored, by their keys."""
    stores = [folder / "workspace" / name for name in ("store", "inbox-store")]
    chunks = (file for store in stores for file in store.rglob("*") if "c" in file.parts and file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in chunks}


def facts_of(folder: Path, name: str) -> dict[str, Any]:
    """Return the JSON files of one name below the reports, without what names a run, a moment or a folder."""
    reports = folder / "workspace" / "reports"
    return {str(file.relative_to(reports)): essence(json.loads(file.read_bytes())) for file in reports.rglob(name)}


def essence(value: Any) -> Any:
    """Return a value of JSON without the keys of `DERIVED`."""
    if isinstance(value, dict):
        return {key: essence(item) for key, item in value.items() if key not in DERIVED}
    return [essence(item) for item in value] if isinstance(value, list) else value


def opened(folder: Path, series: int) -> Iterator[tuple[str, bool]]:
    """Yield whether this tree does each thing in a workspace that the older commit made."""
    again = demo(ROOT, folder, series)
    yield "a second run makes no volume", again["preprocess"]["done"] == 0 and again["preprocess"]["reused"] > 0
    yield "a second run trains nothing", again["train"]["reused"] is True
    config = ("--config", str(folder / "lidcflow.toml"))
    for command in COMMANDS:
        done = run(ROOT, command, *config)
        yield f"lidcflow {command} ends with {done.returncode}", done.returncode in (0, 3)
        if done.returncode not in (0, 3):
            print(done.stdout[-1000:], done.stderr[-1000:], file=sys.stderr)


if __name__ == "__main__":
    main()
