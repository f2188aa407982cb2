"""The page of a check for drift and its JSON: self-contained files that open without a network."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from lidcflow.evaluate.drawings import as_svg
from lidcflow.read.report import write_together
from lidcflow.watch.drawings import quantity
from lidcflow.watch.record import DATA, DriftCheck, QuantityDrift
from lidcflow.watch.tables import COLUMNS, alarms_first, drift_rows

PAGE = "report.html"


def write_drift(check: DriftCheck, folder: Path) -> Path:
    """Write ``drift.json`` and ``report.html``, each whole or not at all, and return the page's path.

    Parameters
    ----------
    check : DriftCheck
        What to say.
    folder : Path
        Made if need be; files of an earlier check are replaced.
    """
    texts = {PAGE: render_page(check), DATA: check.model_dump_json(indent=2) + "\n"}
    folder.mkdir(parents=True, exist_ok=True)
    write_together(texts, folder)
    return folder / PAGE


def render_page(check: DriftCheck) -> str:
    """Return the page of a check as HTML, figures inside it."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("lidcflow.watch"), PackageLoader("lidcflow.evaluate")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("drift.html").render(
        check=check,
        columns=COLUMNS,
        rows=drift_rows(check),
        figures=[(one, _inline(one)) for one in alarms_first(check) if one.now.patients],
    )


def _inline(one: QuantityDrift) -> str:
    return f"data:image/svg+xml;base64,{b64encode(as_svg(quantity(one))).decode('ascii')}"
