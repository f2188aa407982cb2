"""Run a fast part of the tests on every Python that the package claims and the machine has: ``make test-pythons``.

Each Python has a virtual environment of its own below `.pythons`, installed anew when a requirement has changed.
The fast part is all that neither starts servers nor runs whole flows.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLACE = ROOT / ".pythons"
VERSIONS = ("3.11", "3.12", "3.13")
REQUIREMENTS = (ROOT / "requirements.lock", ROOT / "pyproject.toml")
FAST = ("-m", "not servers", *(f"--ignore=tests/{name}" for name in ("flows", "infra", "benchmarks")))


def find_python(version: str) -> str | None:
    """Return an interpreter of a version: of the search path, or of pyenv, whose shims may lead nowhere."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    found = [f"python{version}", *map(str, sorted(pyenv.glob(f"{version}.*/bin/python"), reverse=True))]
    return next((python for python in found if _is_version(python, version)), None)


def _is_version(python: str, version: str) -> bool:
    question = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        asked = subprocess.run([python, "-c", question], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return asked.stdout.strip() == version


def install(python: str, place: Path) -> None:
    """Make the environment of an interpreter, unless it is there with what is required now."""
    ready = place / ".ready"
    if ready.exists() and all(ready.stat().st_mtime > file.stat().st_mtime for file in REQUIREMENTS):
        return
    pip = [place / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([python, "-m", "venv", place], check=True)
    subprocess.run([*pip, "-r", REQUIREMENTS[0]], check=True)
    subprocess.run([*pip, "--no-deps", "--editable", ROOT], check=True)
    ready.touch()


def main(arguments: list[str]) -> int:
    """Test on each Python that is here; return how many versions failed."""
    failed = []
    for version in VERSIONS:
        if not (python := find_python(version)):
            print(f"Python {version} is not here.", flush=True)
            continue
        print(f"Python {version}:", flush=True)
        install(python, PLACE / version)
        done = subprocess.run([PLACE / version / "bin" / "pytest", *FAST, *arguments], cwd=ROOT, check=False)
        failed += [version] if done.returncode else []
    print(f"Failed on {', '.join(failed)}." if failed else "All passed.")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
