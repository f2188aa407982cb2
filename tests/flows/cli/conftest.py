"""Fixtures of the commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.cli import app
from lidcflow.release.record import ReleaseRecord
from lidcflow.stats.estimate import Estimate


@pytest.fixture
def lidcflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run a command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture
def tiny_volumes(tmp_path: Path) -> None:
    """Make the configuration of that folder one of tiny volumes."""
    (tmp_path / "lidcflow.toml").write_text(
        'workspace = "workspace"\n[preprocess]\nslices = 8\nsize = 16\n[cluster]\nworkers = 1\n'
    )


@pytest.fixture
def source(tmp_path: Path, ct_series: Callable[..., Path]) -> Path:
    """Return a folder with a usable series, one of three slices, and one of MR."""
    ct_series(tmp_path / "source" / "good", patient_id="Lovelace")
    ct_series(tmp_path / "source" / "short", n=3)
    ct_series(tmp_path / "source" / "mr", Modality="MR")
    return tmp_path / "source"


@pytest.fixture
def figured(release_record: ReleaseRecord) -> ReleaseRecord:
    """Return the record of a release with figures."""
    found = {"auroc_nodule": Estimate(value=0.8, low=0.7, high=0.9), "sensitivity_at_5": Estimate(value=0.5)}
    found |= {"log_loss": Estimate(value=0.3), "sensitivity_at_10": Estimate(value=None)}
    figures = release_record.metrics["test"].model_copy(
        update={"release": found, "sector_prior": found, "uniform": found}
    )
    pins = tuple(pin.model_copy(update={"validation": found, "test": found}) for pin in release_record.sectors)
    return release_record.model_copy(update={"metrics": {"validation": figures, "test": figures}, "sectors": pins})
