"""Documents of a small series, and the tools that judge them."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lidcflow.documents.write import made_documents, write_documents
from lidcflow.read.recommendation import Recommendation
from tests.documents.small_study import CREATED_NS, answer, header_of, series_in


@pytest.fixture
def documented(tmp_path: Path) -> Callable[..., tuple[Path, Recommendation]]:
    """Write the documents of a series in a folder; return their folder, and what they are of."""

    def write(source: Path, verdict: str = "ranges", name: str = "documents") -> tuple[Path, Recommendation]:
        series = series_in(source)
        said = answer(series, verdict)
        write_documents(
            made_documents(said, header_of(series), created_ns=CREATED_NS), tmp_path / name, created_ns=CREATED_NS
        )
        return tmp_path / name, said

    return write


@pytest.fixture
def dsrdump() -> Callable[[Path], str]:
    """Say a document as dcmtk reads it."""
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
