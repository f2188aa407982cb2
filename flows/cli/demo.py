"""The whole job on phantoms, with one command."""

from __future__ import annotations

import json
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli import lazy
from flows.cli.infer import print_results
from flows.cli.options import AsJson, output_folder
from flows.cli.output import NOTICE, print_facts, print_json, print_line
from flows.cli.session import flow_session
from flows.cli.train import print_release
from flows.service.servers import addresses
from lidcflow.config import Config, LabelConfig, SplitConfig
from lidcflow.config.file import load_config
from lidcflow.learn.backend import require_backend_for
from lidcflow.learn.splits import SPLITS, split_of
from lidcflow.privacy import PUBLIC_KEY, hash_patient_id
from tasks.progress import Stage, listening
from tasks.tracking.place import Tracking

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flows.pipeline import PipelineReport
    from lidcflow.labels.lidc import LidcNodule, LidcScan

MAX_SLICES = 150
"""Longer scans would make the demo long and teach nothing more."""

NEW_STUDIES = 2

MOST_SEEDS = 1000

SPLIT = "split.seed = {seed}  # by which each part of so few patients has nodules\n"


def demo(
    folder: Annotated[
        Path, typer.Option("--folder", callback=output_folder, help="Folder for data, workspace and configuration.")
    ] = Path("demo"),
    series: Annotated[int, typer.Option(min=12, max=300, help="Synthetic series to train on.")] = 32,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the synthetic series; the same seed gives the same bytes.")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Run everything on synthetic CT: generate it, preprocess, train, make a release, infer two new studies."""
    started_s = time.monotonic()
    archive, new = choose_studies(series, seed)
    config = demo_config(folder, split_seed(archive))
    require_backend_for(config)
    watch = Stopwatch()
    with flow_session(config, "pipeline"), listening(watch):
        made = lazy.write_phantoms(archive, folder / "archive", seed=seed, workers=config.cluster.workers)
        made += lazy.write_phantoms(new, folder / "inbox", seed=seed, workers=config.cluster.workers)
        report = lazy.pipeline(str(folder / "archive"), config, str(folder / "inbox"))
    if as_json:
        total_s = time.monotonic() - started_s
        timing = {"series_made": made, "seconds": total_s, "stage_seconds": watch.seconds}
        print_json(timing | report.model_dump(mode="json"))
    else:
        print_demo(report, made, folder)
        print_line(f"\nDone in {time.monotonic() - started_s:.0f} s. All images are synthetic. {NOTICE}")


class Stopwatch:
    """Measures the wall time of every stage, in seconds; stages of one name add up."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since_s: dict[Stage, float] = {}

    def started(self, stage: Stage) -> None:
        """Start the clock of a stage."""
        self._since_s[stage] = time.monotonic()

    def advanced(self, stage: Stage) -> None:
        """Go on: only start and end count."""

    def finished(self, stage: Stage) -> None:
        """Stop the clock of a stage."""
        took_s = time.monotonic() - self._since_s.pop(stage)
        self.seconds[stage.name] = self.seconds.get(stage.name, 0.0) + took_s


def demo_config(folder: Path, seed: int = 0) -> Config:
    """Write the demo's configuration on its first run, so that every other command can work on what it leaves.

    Its paths are absolute: a command that runs in the folder itself would make a second workspace below it otherwise.

    Parameters
    ----------
    folder : Path
        Of the demo.
    seed : int
        Of the split of patients, from `split_seed`.
    """
    file = folder / "lidcflow.toml"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        places = {key: str(folder.absolute() / key) for key in ("workspace", "archive", "inbox")}
        lines = [f"{key} = {json.dumps(place, ensure_ascii=False)}\n" for key, place in places.items()]
        file.write_text("".join([*lines, 'patient_key = "public"\n', SPLIT.format(seed=seed) if seed else ""]))
    return load_config(file)


def choose_studies(series: int, seed: int) -> tuple[list[LidcScan], list[LidcScan]]:
    """Choose the series to train on, and two of other patients, with nodules, that stand for new studies."""
    archive = lazy.choose_scans(series, seed, max_slices=MAX_SLICES)
    patients = {scan.patient_id for scan in archive}
    more = lazy.choose_scans(series + 4 * NEW_STUDIES, seed, max_slices=MAX_SLICES)
    new = [scan for scan in more if scan.patient_id not in patients and lazy.nodules_of(scan)]
    return archive, new[:NEW_STUDIES]


def split_seed(scans: Sequence[LidcScan]) -> int:
    """Return the first seed by which a few patients can be trained on and measured.

    Training patients must have benign and malignant nodules, and validation and test patients nodules. What is learned
    has no say in it. Enough patients are split so by seed 0.

    Parameters
    ----------
    scans : sequence of LidcScan
        What the demo trains on.
    """
    found = {scan: lazy.nodules_of(scan) for scan in scans}
    return next((seed for seed in range(MOST_SEEDS) if _is_split(found, SplitConfig(seed=seed))), 0)


def _is_split(found: Mapping[LidcScan, Sequence[LidcNodule]], split: SplitConfig) -> bool:
    ratings: dict[str, list[float]] = {part: [] for part in SPLITS}
    for scan, nodules in found.items():
        part = split_of(hash_patient_id(scan.patient_id, PUBLIC_KEY), split)
        ratings[part] += [nodule.malignancy for nodule in nodules]
    benign = [rating < LabelConfig().malignant_at for rating in ratings["train"]]
    return all(ratings.values()) and any(benign) and not all(benign)


def print_demo(report: PipelineReport, made: int, folder: Path) -> None:
    """Print the results of the job, and where to look."""
    done, trained = report.preprocess, report.train
    print_line(f"\nSynthetic series: {made} made, {done.found + NEW_STUDIES - made} reused unchanged.")
    print_line(f"Preprocessing: {done.done} done, {done.reused} reused unchanged, {len(done.refused)} set aside.")
    print_line(f"Training: {'reused unchanged' if trained.reused else f'{trained.series} series'}.\n")
    print_release(trained.release, champion=trained.champion)
    if report.infer:
        print_results(report.infer)
    print_commands(folder)


def print_commands(folder: Path) -> None:
    """Print the command that shows what just ran in MLflow and in Prefect, with their doors closed."""
    file = folder / "lidcflow.toml"
    config = load_config(file)
    pages = lazy.served_pages(config)
    pages["  trainings"] = lazy.pages(addresses(config).mlflow, Tracking.of(config))["trainings"]
    print_line(f"\nServe MLflow, Prefect and the reports:\n  {_command()} up --config {shlex.quote(str(file))}")
    print_line("then open")
    print_facts(pages)


def _command() -> str:
    """Return the command of this environment, which need not be on the path."""
    return shlex.quote(str(Path(sys.executable).with_name("lidcflow")))
