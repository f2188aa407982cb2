"""Progress on standard error: bars on a terminal, a line now and then elsewhere, as JSON with `--log-json`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from flows.cli.logs import show_sentence, shown_as_json
from tasks.progress import Stage, listening, stage

LINE_EVERY_S = 5.0


@contextmanager
def shown_progress(waiting_for: str = "starting") -> Iterator[None]:
    """Show every stage of this process on standard error while the block runs.

    Parameters
    ----------
    waiting_for : str
        What a person reads until the first stage starts.

    Examples
    --------
    ::

        with shown_progress("starting Prefect's temporary server"):
            report = preprocess(source, config)
    """
    console = Console(stderr=True)
    if shown_as_json() or not console.is_terminal:
        show_sentence(waiting_for)
        with listening(Lines()):
            yield
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress, listening(Bars(progress, waiting_for)):
        yield


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


class Bars:
    """A Rich bar for each stage."""

    def __init__(self, progress: Progress, waiting_for: str) -> None:
        self._progress = progress
        self._bars: dict[Stage, TaskID] = {}
        self._waiting: TaskID | None = progress.add_task(waiting_for, total=None)

    def started(self, stage: Stage) -> None:
        """Put a bar below the others."""
        if self._waiting is not None:
            self._progress.remove_task(self._waiting)
            self._waiting = None
        self._bars[stage] = self._progress.add_task(stage.name, total=stage.total)

    def advanced(self, stage: Stage) -> None:
        """Move the bar."""
        self._progress.update(self._bars[stage], completed=stage.done, total=stage.total)

    def finished(self, stage: Stage) -> None:
        """Leave the bar where the stage ended."""
        bar = self._bars.pop(stage)
        self._progress.update(bar, total=stage.total if stage.total is not None else max(stage.done, 1))
        self._progress.stop_task(bar)

    def noticed(self, sentence: str) -> None:
        """Print a sentence above the bars."""
        self._progress.console.print(sentence, highlight=False, markup=False, soft_wrap=True)


class Lines:
    """A line when a stage starts and ends, and every few seconds between: for logs and pipes."""

    def __init__(self) -> None:
        self._last_s: dict[Stage, float] = {}

    def started(self, stage: Stage) -> None:
        """Note when it began."""
        self._last_s[stage] = time.monotonic()

    def advanced(self, stage: Stage) -> None:
        """Print a line when the last one is long ago."""
        if time.monotonic() - self._last_s[stage] >= LINE_EVERY_S:
            self._last_s[stage] = time.monotonic()
            self._print(stage)

    def finished(self, stage: Stage) -> None:
        """Print how far it came."""
        del self._last_s[stage]
        self._print(stage)

    def noticed(self, sentence: str) -> None:
        """Print a sentence."""
        show_sentence(sentence)

    def _print(self, stage: Stage) -> None:
        total = "" if stage.total is None else f" of {stage.total}"
        show_sentence(f"{stage.name}: {stage.done}{total}")
