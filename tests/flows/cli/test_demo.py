"""What the demo writes before its work, and says at its end."""

import sys
from pathlib import Path

import pytest

from flows.cli.demo import choose_studies, demo_config, print_commands, split_seed
from lidcflow.config.file import load_config
from lidcflow.labels.lidc import nodules_of
from lidcflow.learn.splits import SPLITS, split_of
from lidcflow.privacy import PUBLIC_KEY, hash_patient_id


def test_its_servers_are_those_that_close_their_doors(tmp_path, capsys):
    folder = tmp_path / "a demo"
    demo_config(folder)

    print_commands(folder)

    printed = capsys.readouterr().out
    assert f"  {Path(sys.executable).with_name('lidcflow')} up --config '{folder / 'lidcflow.toml'}'\n" in printed
    assert "http://127.0.0.1:5000/#/models/lidcflow?workflowType=machine_learning" in printed
    assert "http://127.0.0.1:5000/#/experiments/1/runs?workflowType=machine_learning" in printed
    assert "http://127.0.0.1:4200/deployments" in printed
    assert not [open_door for open_door in ("mlflow server", "prefect server") if open_door in printed]


@pytest.mark.parametrize("series", [12, 20, 32])
def test_each_part_of_a_small_demo_has_patients_with_nodules(tmp_path, series):
    archive, _ = choose_studies(series, seed=0)

    config = demo_config(tmp_path, split_seed(archive))

    parts = [
        split_of(hash_patient_id(scan.patient_id, PUBLIC_KEY), config.split) for scan in archive if nodules_of(scan)
    ]
    assert set(parts) == set(SPLITS)


def test_commands_find_its_workspace_from_every_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    demo_config(Path('a "demo"'))

    monkeypatch.chdir('a "demo"')

    config = load_config()
    assert (config.workspace, config.archive, config.inboxes) == (
        Path.cwd() / "workspace",
        str(Path.cwd() / "archive"),
        (str(Path.cwd() / "inbox"),),
    )


def test_a_demo_of_the_usual_size_is_split_as_everything_else(tmp_path):
    archive, _ = choose_studies(32, seed=0)

    assert split_seed(archive) == 0
    assert "split" not in demo_config(tmp_path).model_fields_set
