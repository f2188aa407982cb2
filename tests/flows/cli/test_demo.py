"""What the demo says at its end."""

import sys
from pathlib import Path

from flows.cli.demo import demo_config, print_commands


def test_its_servers_are_those_that_close_their_doors(tmp_path, capsys):
    folder = tmp_path / "a demo"
    demo_config(folder)

    print_commands(folder)

    printed = capsys.readouterr().out
    assert f"  {Path(sys.executable).with_name('lidcflow')} up --config '{folder / 'lidcflow.toml'}'\n" in printed
    assert "http://127.0.0.1:5000/#/models/lidcflow?workflowType=machine_learning" in printed
    assert not [open_door for open_door in ("mlflow server", "prefect server") if open_door in printed]
