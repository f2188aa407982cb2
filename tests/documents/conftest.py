"""Documents of a small series."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lidcflow.documents.encode import made_documents
from lidcflow.documents.write import write_documents
from lidcflow.report.recommendation import Recommendation
from tests.documents.contents import IDENTITY
from tests.documents.small_study import CREATED_NS, answer, header_of, series_in


@pytest.fixture
def documented(tmp_path: Path) -> Callable[..., tuple[Path, Recommendation]]:
    """Write the documents of a series in a folder; return their folder, and what they are of."""

    def write(
        source: Path, verdict: str = "ranges", name: str = "documents", **said_of: Any
    ) -> tuple[Path, Recommendation]:
        series = series_in(source)
        said = answer(series, verdict, **said_of)
        write_documents(
            made_documents(said, header_of(series), created_ns=CREATED_NS), tmp_path / name, created_ns=CREATED_NS
        )
        return tmp_path / name, said

    return write


@pytest.fixture
def source(tmp_path, ct_series):
    return ct_series(tmp_path / "source", SeriesNumber=3, **IDENTITY)
