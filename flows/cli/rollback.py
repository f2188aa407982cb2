"""The command that puts the release of before back in force."""

from flows.cli import lazy
from flows.cli.options import ConfigFile, Workspace, configured
from flows.cli.output import NOTICE, print_line
from tasks.tracking.place import Tracking


def rollback(config_file: ConfigFile = None, workspace: Workspace = None) -> None:
    """Make the previous champion the champion again."""
    taken_back, record = lazy.rollback(Tracking.of(configured(config_file, workspace)))
    print_line(f"{record.name} version {record.version} is the champion again, not version {taken_back}. {NOTICE}")
