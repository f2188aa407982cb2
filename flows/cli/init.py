"""The command that writes a configuration to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from flows.cli.options import output_file
from flows.cli.output import NOTICE, print_line
from lidcflow.config.file import DEFAULT_FILE
from lidcflow.config.starters import STARTERS
from lidcflow.errors import ConfigError
from lidcflow.files import write_whole

Role = Literal["research", "hospital", "cluster"]

NEXT = {
    "research": "lidcflow doctor, then lidcflow preprocess SRC",
    "hospital": "put the address of your PACS into it, then lidcflow doctor and lidcflow up",
    "cluster": "put the addresses of your servers into it, then lidcflow doctor",
}


def init(
    role: Annotated[Role, typer.Argument(metavar="ROLE", help="research, hospital or cluster.")] = "research",
    out: Annotated[
        Path, typer.Option("--out", callback=output_file, help="File to write; a file that exists is kept.")
    ] = Path(DEFAULT_FILE),
) -> None:
    """Write a commented configuration file to start from: for research on one machine, a hospital, or a cluster."""
    if out.exists():
        raise ConfigError(f"configuration {out}: must not exist yet, got a file; name another one with --out")
    write_whole(out, STARTERS[role])
    print_line(f"{out} is written. Next: {NEXT[role]}. {NOTICE}")
