"""The command that trains: what it refuses, what it would cost, and how it prints a release."""

import json

from flows.cli.train import print_release
from lidcflow.config import Config, PreprocessConfig
from lidcflow.errors import EngineError
from tests.labelled_volumes import PATIENTS, SIZE, SLICES, store_volumes


def test_more_sectors_than_slices_is_wrong_usage(lidcflow):
    done = lidcflow("train", "--sectors", 66)

    assert done.exit_code == 2


def test_folds_are_the_snapshots_own_and_are_not_of_finetuned_backbones(lidcflow, tmp_path):
    from_snapshot = lidcflow("train", "--folds", 5, "--snapshot", "ab12")
    (tmp_path / "lidcflow.toml").write_text('[train]\nmode = "finetune"\n')
    finetuned = lidcflow("train", "--folds", 5)

    assert (from_snapshot.exit_code, finetuned.exit_code) == (2, 2)
    assert "a snapshot says itself how many folds there are" in from_snapshot.output
    assert "train.folds must be left out" in " ".join(finetuned.output.replace("│", " ").split())


def test_a_dry_run_counts_patients_slices_and_features_and_writes_nothing(lidcflow, tmp_path):
    config = Config(workspace=tmp_path / "workspace", preprocess=PreprocessConfig(slices=SLICES, size=SIZE))
    store_volumes(config)
    size = f"[preprocess]\nslices = {SLICES}\nsize = {SIZE}\n"
    (tmp_path / "lidcflow.toml").write_text(f'workspace = "workspace"\n{size}[cluster]\nworkers = 2\n')
    before = sorted(tmp_path.rglob("*"))

    cost = json.loads(lidcflow("train", "--sectors", 2, "--dry-run", "--json").stdout)

    assert (cost["series"], cost["models"], cost["features"]) == (PATIENTS, 3, PATIENTS)
    assert sum(cost["patients_by_split"].values()) == cost["patients"]
    assert sum(cost["slices"].values()) == PATIENTS * SLICES
    assert cost["bytes"] == PATIENTS * SLICES * 384 * 2
    assert f"3 models to train; features of {PATIENTS} series" in lidcflow("train", "--sectors", 2, "--dry-run").stdout
    assert cost["marks"] is None
    of_folds = json.loads(lidcflow("train", "--sectors", 2, "--folds", 3, "--dry-run", "--json").stdout)
    assert (of_folds["models"], sum(of_folds["patients_by_split"].values())) == (9, cost["patients"])
    assert sorted(tmp_path.rglob("*")) == before


def test_a_dry_run_without_volumes_names_the_way_out(lidcflow):
    assert "run lidcflow preprocess first" in str(lidcflow("train", "--dry-run").exception)


def test_missing_tensorflow_is_told_before_anything_starts(lidcflow, tmp_path, monkeypatch):
    monkeypatch.setattr("lidcflow.learn.backend.find_spec", lambda _: None)

    for command in ("train", "demo"):
        assert isinstance(lidcflow(command).exception, EngineError)
    assert not (tmp_path / "lidcflow-workspace").exists()
    assert not (tmp_path / "demo" / "archive").exists()


def test_a_release_is_printed_with_its_sectors_gate_and_standing(figured, capsys):
    print_release(figured, champion=False)

    printed = capsys.readouterr().out
    assert "all sectors: no malignant slice in training" in printed
    assert "Gate passed: better." in printed
    assert "Threshold P(nodule) 0.250, chosen for 80% of validation's nodule slices." in printed
    assert "`lidcflow promote 3` would put it in force" in printed
    assert "Research use only" in printed
