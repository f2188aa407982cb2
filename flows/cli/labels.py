"""The command that shows labels before anything is trained on them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli import lazy
from flows.cli.bars import shown_progress
from flows.cli.options import AsJson, ConfigFile, Workspace, configured, configured_with, output_file
from flows.cli.output import NOTICE, SOME_LACKING, print_json, print_line, print_table
from lidcflow.config import LIDC, Config
from lidcflow.errors import LabelError
from lidcflow.labels.readings import REPORT_COLUMNS, Problem
from tasks.progress import stage

if TYPE_CHECKING:
    from tasks.labels import Labelled

SHOWN = 20
"""Rows shown on the terminal; the report has all."""

Sources = Annotated[
    list[str] | None,
    typer.Option("--source", help="Annotations: lidc, or a file or folder; may be repeated; overrides labels.source."),
]


def labels(
    out: Annotated[Path, typer.Option("--out", callback=output_file, help="CSV file to write.")] = Path("labels.csv"),
    source: Sources = None,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            callback=output_file,
            help="Write every annotation that was not used, and why, to this CSV file.",
        ),
    ] = None,
    config_file: ConfigFile = None,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Write the label of every slice, top of the chest first.

    For LIDC-IDRI, all series are labelled and no DICOM files are needed. With annotations of your own, the volumes of
    the store are labelled, and every row that does not fit them is reported.
    """
    config = configured(config_file, workspace)
    if source:
        config = configured_with(config, "--source", labels__source=tuple(source))
    if config.labels.sources == (LIDC,) and not config.labels.marks:
        _write_lidc(out, config, as_json)
    else:
        _write_own(out, report, config, as_json)


def _write_lidc(out: Path, config: Config, as_json: bool) -> None:
    with shown_progress("reading the annotations"), stage("labels") as labelling:
        lazy.write_label_table(lazy.all_label_rows(config.labels, config.preprocess.slices, labelling.reach), out)
    if as_json:
        print_json({"series": labelling.done, "notice": NOTICE})
    else:
        print_line(f"{labelling.done} series in {out}. {NOTICE}")


def _write_own(out: Path, report: Path | None, config: Config, as_json: bool) -> None:
    store = lazy.VolumeStore.of(config)
    with shown_progress("reading the readings"):
        volumes = list(store.summaries(store.series_uids()))
        labelled = lazy.label_readable(volumes, config.labels, store.records, config.reports_path)
    problems = labelled.collected.problems
    if report:
        lazy.write_label_table((problem.row for problem in problems), report, columns=REPORT_COLUMNS)
    if not labelled.labels:
        _print_problems(problems)
        raise LabelError(lazy.no_labels(labelled, len(volumes), config.labels.sources))
    keys = {volume.series_instance_uid: volume.patient_key for volume in volumes}
    rows = [lazy.StoredLabelRow(keys[uid], uid, lazy.label_string(of)) for uid, of in labelled.labels.items()]
    lazy.write_label_table(rows, out, columns=lazy.StoredLabelRow._fields)
    if as_json:
        print_json(_facts(labelled))
    else:
        _print_problems(problems)
        _print_summary(labelled, out)
    if problems:
        raise typer.Exit(SOME_LACKING)


def _facts(labelled: Labelled) -> dict[str, Any]:
    collected = labelled.collected
    return {
        "series": len(labelled.labels),
        "nodules": sum(map(len, collected.nodules.values())),
        "readings": collected.readings,
        "unrated_below_3_mm": collected.small,
        "series_from_marks": len(collected.marked),
        "left_out": labelled.left_out,
        "problems": [dict(zip(REPORT_COLUMNS, problem.row, strict=True)) for problem in collected.problems],
        "notice": NOTICE,
    }


def _print_problems(problems: list[Problem]) -> None:
    if not problems:
        return
    counts = ", ".join(f"{count} {reason}" for reason, count in Counter(p.reason for p in problems).most_common())
    rows = [(p.origin.kind, str(p.origin), p.reason, p.series_instance_uid, p.sentence) for p in problems[:SHOWN]]
    title = f"{len(problems)} rows not used: {counts}"
    print_table(title, ("kind", "row", "reason", "series", "sentence"), rows)
    if len(problems) > SHOWN:
        print_line(f"{len(problems) - SHOWN} more; --report FILE lists all of them.")


def _print_summary(labelled: Labelled, out: Path) -> None:
    collected = labelled.collected
    nodules = sum(map(len, collected.nodules.values()))
    small = f", {collected.small} more marks below 3 mm without a rating" if collected.small else ""
    marked = f", {len(collected.marked)} of them from marks on reports" if collected.marked else ""
    left_out = f"{marked}, {len(labelled.left_out)} left out" if labelled.left_out else marked
    print_line(
        f"{collected.readings} readings in files{small}; {nodules} nodules in {len(labelled.labels)} labelled series"
        f"{left_out}, in {out}. {NOTICE}"
    )
