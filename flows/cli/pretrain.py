"""The command that trains the backbone in the package."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.cli import lazy
from flows.cli.bars import shown_progress
from flows.cli.options import AsJson
from flows.cli.output import NOTICE, print_json, print_line
from tasks.progress import Stage, stage


def pretrain(
    out: Annotated[Path, typer.Argument(metavar="FILE", help="Weight file to write, .npz.")] = Path("compact.npz"),
    volumes: Annotated[int | None, typer.Option(min=4, help="Number of generated chests to train on.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Number of optimizer steps.")] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the generated chests, the initial weights and the order of batches.")
    ] = 0,
    processes: Annotated[int | None, typer.Option(min=1, help="Number of processes that generate chests.")] = None,
    as_json: AsJson = False,
) -> None:
    """Pretrain the compact backbone on generated CT; the default options reproduce the weights in the package."""
    asked: dict[str, Any] = {"volumes": volumes, "steps": steps, "processes": processes}
    settings = lazy.PretrainSettings(seed=seed, **{key: value for key, value in asked.items() if value is not None})
    with shown_progress("starting Keras"), reported_stages() as report:
        made = lazy.pretrain(out, settings, on_progress=report)
    if as_json:
        print_json({**asdict(made), "file": str(made.file), "notice": NOTICE})
    else:
        print_line(
            f"{made.file} in {made.wall_s / 60:.0f} min, SHA-256 {made.sha256}. On held-out chests: slice AUROC of "
            f"nodule or not {made.nodule_auroc:.3f}, of malignant or benign {made.malignant_auroc:.3f}. {NOTICE}"
        )


@contextmanager
def reported_stages() -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function that takes reports of named stages and shows each stage."""
    with ExitStack() as running:
        stages: dict[str, Stage] = {}

        def report(name: str, done: int, total: int) -> None:
            if name not in stages:
                stages[name] = running.enter_context(stage(name, total))
            stages[name].reach(done, total)

        yield report
