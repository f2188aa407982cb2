"""Tools of others that judge DICOM documents, as fixtures for all tests."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def dsrdump() -> Callable[[Path], str]:
    """Return the text of a document as dcmtk reads it."""
    return _tool("dsrdump", "+Pn", "+Pl")


@pytest.fixture
def dciodvfy() -> Callable[[Path], list[str]]:
    """List what David Clunie's validator finds wrong with a document."""
    run = _tool("dciodvfy")
    return lambda file: [line for line in run(file).splitlines() if line.startswith("Error")]


def _tool(name: str, *options: str) -> Callable[[Path], str]:
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed (infra/debian-packages.txt names its package)")

    def run(file: Path) -> str:
        done = subprocess.run([name, *options, file], capture_output=True, timeout=60)
        assert done.returncode == 0 or name == "dciodvfy", done.stderr.decode("ascii", "replace")
        return (done.stdout + done.stderr).decode("utf-8", "replace")

    return run
