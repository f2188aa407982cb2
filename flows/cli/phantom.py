"""The command that makes synthetic CT."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli import lazy
from flows.cli.bars import shown_progress
from flows.cli.options import ConfigFile, configured, output_folder
from flows.cli.output import NOTICE, print_line


def phantom(
    folder: Annotated[Path, typer.Argument(metavar="DIR", callback=output_folder, help="Folder to write to.")],
    series: Annotated[int, typer.Option(min=1, max=1018, help="Number of series to make.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Seed; the same seed gives the same bytes.")] = 0,
    max_slices: Annotated[int | None, typer.Option(min=8, help="Use only scans with at most this many slices.")] = None,
    config_file: ConfigFile = None,
) -> None:
    """Make synthetic chest CT with the scan geometry and annotations of LIDC-IDRI."""
    config = configured(config_file, None)
    with shown_progress("choosing scans"):
        try:
            scans = lazy.choose_scans(series, seed, max_slices=max_slices)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
        made = lazy.write_phantoms(scans, folder, seed=seed, workers=config.cluster.workers)
    print_line(f"{len(scans)} synthetic series in {folder}: {made} made, {len(scans) - made} there already. {NOTICE}")
