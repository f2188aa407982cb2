"""The command that puts a release in force."""

from typing import Annotated

import typer

from flows.cli import lazy
from flows.cli.options import ConfigFile, Workspace, configured
from flows.cli.output import NOTICE, print_line
from tasks.tracking.place import Tracking

Version = Annotated[int, typer.Argument(metavar="VERSION", help="Version, as `lidcflow releases` lists it.")]
Force = Annotated[bool, typer.Option("--force", help="Promote even if the gate refused it (needs --reason).")]
Why = Annotated[
    str, typer.Option("--reason", help="Why the release is promoted, in one sentence; kept in the registry.")
]


def promote(
    version: Version,
    force: Force = False,
    reason: Why = "",
    config_file: ConfigFile = None,
    workspace: Workspace = None,
) -> None:
    """Make a release the champion: inference uses it from now on."""
    if force and not reason:
        raise typer.BadParameter(
            "--force must come with --reason, a sentence that the registry keeps", param_hint="--force"
        )
    tracking = Tracking.of(configured(config_file, workspace))
    record = lazy.promote(tracking, version, force=force, reason=reason)
    print_line(f"{record.name} version {record.version} is the champion. {NOTICE}")
