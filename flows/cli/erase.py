"""The command that deletes a patient's data and keeps them out."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli import lazy
from flows.cli.bars import shown_progress
from flows.cli.options import AsJson, ConfigFile, Workspace, configured, wrong_usage
from flows.cli.output import NOTICE, print_json, print_line, print_table
from lidcflow.privacy import hash_patient_id, load_secret

if TYPE_CHECKING:
    from flows.erase import EraseReport
    from lidcflow.config import Config
    from lidcflow.erase.subject import Kind, Subject
    from lidcflow.erase.tombstones import Tombstone

WHAT = {
    "volumes": "volumes with their features, in all stores",
    "reports": "answers of inference",
    "header_files": "files in the cache of headers",
    "catalog_rows": "rows of the catalog",
    "snapshots": "snapshots that lose rows",
    "arms": "results of experiments",
    "artifacts": "files in MLflow: snapshots that lose rows, pictures of slices",
    "mentions": "mentions in histories of runs and logs, masked",
}
STAYS = (
    "Not touched: the images at their source, folders that were given with --out, backups, what was sent elsewhere, "
    "and servers of Prefect and MLflow that run elsewhere."
)


def erase(
    patient: Annotated[
        str | None,
        typer.Option(
            "--patient", metavar="KEY", help="Pseudonym of the patient, as `lidcflow index SRC --json` lists it."
        ),
    ] = None,
    patient_id: Annotated[
        bool, typer.Option("--patient-id", help="Ask for the PatientID, or read it from standard input.")
    ] = False,
    study: Annotated[str | None, typer.Option("--study", metavar="UID", help="Erase only this study.")] = None,
    series: Annotated[str | None, typer.Option("--series", metavar="UID", help="Erase only this series.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be deleted, and delete nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    forget: Annotated[
        str | None,
        typer.Option(
            "--forget",
            metavar="KEY",
            help="Remove the block on an erased patient, study or series; deleted data does not come back.",
        ),
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="List past erasures.")] = False,
    config_file: ConfigFile = None,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Delete the data of a patient, study or series, mark the releases trained on it, and block its return."""
    config = configured(config_file, workspace)
    chosen = [patient is not None, patient_id, study is not None, series is not None, forget is not None, listed]
    if sum(chosen) != 1:
        raise typer.BadParameter("give one of --patient, --patient-id, --study, --series, --forget and --list")
    if listed:
        return print_tombstones(config.catalog, as_json=as_json)
    if forget is not None:
        return print_lifted(forget, config, as_json=as_json)
    report = confirm_and_erase(_subject(patient, study, series, config), config, dry_run=dry_run, yes=yes)
    return print_json(report) if as_json else print_erased(report)


def confirm_and_erase(subject: Subject, config: Config, *, dry_run: bool, yes: bool) -> EraseReport:
    """Erase, once someone has seen what would go and agreed; `yes` agrees beforehand."""
    with shown_progress("looking"):
        planned = None if yes and not dry_run else lazy.erase(subject, config, dry_run=True)
    if planned and dry_run:
        return planned
    if planned:
        print_erased(planned, to_stderr=True)
        typer.confirm("Delete this for good?", abort=True, err=True)
    with shown_progress("deleting"):
        return lazy.erase(subject, config)


def print_erased(report: EraseReport, *, to_stderr: bool = False) -> None:
    """Print what was deleted, or would be, how much of each, and what stays."""
    deleted = report.deleted.model_dump()
    rows = [(deleted[name], text) for name, text in WHAT.items() if deleted[name]]
    title = f"{'Would be deleted' if report.dry_run else 'Deleted'} of {report.kind} {report.key}"
    if rows:
        print_table(title, ("count", "what"), rows, to_stderr=to_stderr)
    else:
        print_line(f"Nothing of {report.kind} {report.key} is kept here.", to_stderr=to_stderr)
    if versions := ", ".join(map(str, report.deleted.releases)):
        print_line(f"Releases made from it, {'to be ' * report.dry_run}marked: {versions}.", to_stderr=to_stderr)
    if models := report.deleted.models:
        print_line(
            f"{len(models)} models that learned from a training set with these data stay in the registry: "
            f"{', '.join(models)}. `lidcflow retrain` trains without the data; delete these versions in MLflow once "
            "another release is in force.",
            to_stderr=to_stderr,
        )
    for uri in report.deleted.left:
        print_line(
            f"Delete by hand, it is not in this workspace or MLflow's storage kept it: {uri}", to_stderr=to_stderr
        )
    kept_out = "would be refused from then on" if report.dry_run else "is refused by every index from now on"
    print_line(f"The {report.kind} {kept_out}. {STAYS} {NOTICE}", to_stderr=to_stderr)


def print_tombstones(catalog: str, *, as_json: bool) -> None:
    """List what was erased, and what is not done."""
    found = [_facts(stone) for stone in lazy.tombstones_in(catalog)]
    if as_json:
        print_json(found)
    elif found:
        print_table(f"{len(found)} erased", list(found[0]), [list(facts.values()) for facts in found])
    else:
        print_line("Nothing was erased.")


def print_lifted(key: str, config: Config, *, as_json: bool) -> None:
    """Admit again what was erased, and print what that was."""
    lifted = lazy.lift(key, config)
    if as_json:
        print_json([one.model_dump() for one in lifted])
    for one in [] if as_json else lifted:
        print_line(f"The {one.kind} {one.key} is let in again by the next index; what was deleted stays deleted.")


def _facts(stone: Tombstone) -> dict[str, Any]:
    return {
        "kind": stone.subject.kind,
        "key": stone.subject.key,
        "asked (UTC)": f"{stone.asked:%Y-%m-%d %H:%M}",
        "done (UTC)": f"{stone.done:%Y-%m-%d %H:%M}" if stone.done else None,
    }


def _subject(patient: str | None, study: str | None, series: str | None, config: Config) -> Subject:
    named: list[tuple[Kind, str | None]] = [("study", study), ("series", series), ("patient", patient)]
    for kind, key in named:
        if key is not None:
            with wrong_usage(f"--{kind}"):
                return lazy.Subject(kind, key)
    return lazy.Subject("patient", _key_of_asked(config))


def _key_of_asked(config: Config) -> str:
    """Hash a PatientID that is typed unseen or piped in: an argument would stay in the shell's history."""
    lazy.require_patient_key(config)
    asked = typer.prompt("PatientID", hide_input=True, err=True) if sys.stdin.isatty() else sys.stdin.readline()
    if not asked.strip():
        raise typer.BadParameter("a PatientID must not be empty")
    return hash_patient_id(asked, load_secret(config.patient_key, config.workspace))
