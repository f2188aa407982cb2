"""`lidcflow experiment NAME --data FOLDER`: compare systems of malignancy on rated nodules."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli import lazy
from flows.cli.bars import reported_stages, shown_progress
from flows.cli.options import output_folder
from flows.cli.output import NOTICE, print_json, print_line, print_table
from lidcflow.config import Config
from lidcflow.experiment.published import NODULE_EXPERIMENTS
from lidcflow.learn.backend import require_backend
from tasks.tracking.place import Tracking

if TYPE_CHECKING:
    from lidcflow.experiment.nodule_figures import NoduleComparison

Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="FOLDER", help="Folder with nodule-slices, for experiments on rated nodules."),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="FOLDER",
        callback=output_folder,
        help="Output folder of these experiments; default: reports/ of the workspace, and MLflow.",
    ),
]


def run_on_nodules(name: str, data: Path | None, out: Path | None, config: Config, as_json: bool) -> None:
    """Cross-validate the systems of an experiment, write its page and print its table.

    A page in the workspace is logged to MLflow as well, in the end: what is written and printed does not wait for it.
    """
    if data is None:
        raise typer.BadParameter(f"{name} needs --data, the folder with nodule-slices; docs/malignancy.md lists it")
    if NODULE_EXPERIMENTS[name].networks:
        require_backend()
    learn = getattr(lazy, f"learn_{name}")
    with shown_progress("reading the nodules"), reported_stages() as report:
        found = lazy.run_nodule_experiment(name, data, learn, on_progress=report)
    folder = out or config.reports_path / "experiments" / name
    page = lazy.write_nodule_comparison(files := lazy.rendered_nodules(found), folder)
    if as_json:
        print_json(found)
    else:
        _print(found, page)
    if out is None:
        lazy.log_nodule_comparison(found, files, Tracking.of(config))


def _print(found: NoduleComparison, page: Path) -> None:
    rows = lazy.nodule_rows(found)
    title = f"Experiment {found.experiment}: {found.nodules} nodules of {found.patients} patients in {found.data}"
    print_table(title, list(lazy.columns_of(rows).values()), [list(row.values()) for row in rows])
    sizes = lazy.size_rows(found)
    print_table("Designs and size alone", list(sizes[0]), [list(row.values()) for row in sizes])
    print_table(
        "Published", ("publication", "figures"), [(one.source, _listed(one.figures)) for one in found.published]
    )
    for sentence in (*(f"Left out: {reason}." for reason in found.left_out), *found.differs):
        print_line(sentence)
    print_line(
        f"Cross-validated by patient in {found.folds} folds, 95% intervals over patients, differences of the AUROC "
        f"paired, in {found.seconds:.0f} s. {NOTICE}"
    )
    print_line(str(page))


def _listed(figures: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in figures.items())
