"""What orchestration costs: training 13 sectors as `lidcflow train` does, against the same heads in a bare loop.

    python benchmarks/orchestration.py [--series 1018] [--epochs 30] [--sectors 13]

As many series as LIDC-IDRI has, 65 slices each; volumes are tiny, and features and readings made up: with features
cached, nothing in a training depends on the size of an image. There are no nodule candidates, so that both train the
sector models and nothing else. The loop reads the same snapshot and features and
trains, calibrates and measures every head in one process, one after the other, without MLflow and Prefect.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from fan_out import write_series
from figures import record_ratio

from flows.cli.session import flow_session
from lidcflow.config import ClusterConfig, Config, LabelConfig, NodulesConfig, PreprocessConfig, TrainConfig
from lidcflow.learn.backbones import FEATURE_DIMS, backbone_id
from lidcflow.store.volumes import VolumeStore

NODULES_A_SERIES = 1.5
SIGNAL = 0.15
"""How far classes lie apart in features, in units of their spread."""


def main() -> None:
    """Print the time of the loop, and of the flow with one and with two worker processes."""
    options = parse_options()
    if options.loop:
        print(loop_s(Config.model_validate_json(options.loop.read_text())))
        return
    with tempfile.TemporaryDirectory() as folder:
        config = prepared(Path(folder), options)
        bare_s = in_a_process(config)
        print(f"{options.series} series, {options.sectors} sectors: bare loop {bare_s:.1f} s", flush=True)
        for workers in (1, 2):
            taken_s = flow_s(config, workers)
            print(f"lidcflow train, {workers} worker processes: {taken_s:.1f} s, {taken_s / bare_s:.2f} times")
            record_ratio(
                f"train, {workers} worker processes: its time by a bare loop's", taken_s / bare_s, lower_is_better=True
            )


def parse_options() -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=1018)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--sectors", type=int, default=13)
    parser.add_argument("--loop", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def prepared(folder: Path, options: argparse.Namespace) -> Config:
    """Write series, preprocess them, and make up readings and features."""
    config = Config(
        workspace=folder / "workspace",
        patient_key="public",
        preprocess=PreprocessConfig(size=16),
        labels=LabelConfig(source=str(folder / "readings.csv")),
        nodules=NodulesConfig(candidates=False),
        train=TrainConfig(sector_num=options.sectors, epochs=options.epochs),
        cluster=ClusterConfig(workers=2),
    )
    uids = [f"1.2.{number}" for number in range(1, options.series + 1)]
    for uid in uids:
        write_series(folder / "source" / uid, uid)
    with flow_session(config):
        from flows.preprocess import preprocess

        preprocess(str(folder / "source"), config)
    labels = write_readings(folder / "readings.csv", uids, VolumeStore.of(config))
    write_features(labels, config)
    return config


def write_readings(file: Path, uids: list[str], store: VolumeStore) -> dict[str, np.ndarray]:
    """Write nodules of one to three slices at random; return the class of every slice."""
    rng = np.random.default_rng(0)
    labels = {}
    with file.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["series_instance_uid", "z_top_mm", "z_bottom_mm", "nodule", "malignancy"])
        for record in store.records(uids):
            edges_mm, of_series = np.asarray(record.edges_mm), np.zeros(65, np.int8)
            rows.writerow([record.series_instance_uid, "", "", "", ""])
            for nodule in range(rng.poisson(NODULES_A_SERIES)):
                first, malignant = 4 * int(rng.integers(0, 15)) + 2, bool(rng.random() < 0.5)
                last = first + int(rng.integers(1, 3))
                of_series[first:last] = 1 + malignant
                z_mm = edges_mm[first] - 0.01, edges_mm[last] + 0.01
                rows.writerow([record.series_instance_uid, *z_mm, nodule, 5 if malignant else 1])
            labels[record.series_instance_uid] = of_series
    return labels


def write_features(labels: dict[str, np.ndarray], config: Config) -> None:
    """Make up features that tell a little of the class."""
    rng = np.random.default_rng(1)
    store, feature_id = VolumeStore.of(config), backbone_id(config.train, config.preprocess.size)
    towards = rng.normal(size=(3, FEATURE_DIMS["compact"]))
    for record in store.records(list(labels)):
        noise = rng.normal(size=(65, FEATURE_DIMS["compact"]))
        features = noise + SIGNAL * towards[labels[record.series_instance_uid]]
        store.write_features(record.series_instance_uid, feature_id, features.astype(np.float16), record.volume_digest)


def in_a_process(config: Config) -> float:
    """Run the loop in a process of its own, as the flow's workers are, and return its time with all imports."""
    file = config.workspace.parent / "config.json"
    file.write_text(config.model_dump_json())
    started_s = time.monotonic()
    subprocess.run([sys.executable, __file__, "--loop", str(file)], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - started_s


def loop_s(config: Config) -> float:
    """Train every head as a user's script would: one after the other, and nothing kept."""
    started_s = time.monotonic()
    from lidcflow.learn.snapshot import Snapshot, lacking_classes
    from lidcflow.learn.train import train_sector
    from lidcflow.volume.sectors import sector_slices
    from tasks.features import feature_source
    from tasks.release import jobs_of
    from tasks.snapshot import plan_training

    plan = plan_training.fn(config)
    snapshot = Snapshot.load(plan.snapshot_path)
    source = feature_source(config, plan.backbone.id)
    for job in jobs_of(config.train.sector_num):
        slices = sector_slices(config.preprocess.slices, job.sector_num)[job.sector - 1]
        if not lacking_classes(snapshot, slices):
            train_sector(snapshot, slices, source, config.train, config.train.seed + job.sector)
    return time.monotonic() - started_s


def flow_s(config: Config, workers: int) -> float:
    """Run the flow as the command does, with its temporary Prefect server, in a process of its own."""
    settings = {"workers": workers}
    here = config.model_copy(update={"cluster": config.cluster.model_copy(update=settings)})
    here = here.model_copy(update={"train": here.train.model_copy(update={"seed": workers})})
    file = config.workspace.parent / f"lidcflow-{workers}.toml"
    file.write_text(toml_of(here))
    command = [str(Path(sys.executable).parent / "lidcflow"), "train", "-c", str(file), "--json"]
    started_s = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - started_s


def toml_of(config: Config) -> str:
    """Write what differs from the defaults as the command reads it."""
    return "\n".join(
        [
            f'workspace = "{config.workspace}"',
            'patient_key = "public"',
            f"[preprocess]\nsize = {config.preprocess.size}",
            "[nodules]\ncandidates = false",
            f'[labels]\nsource = "{config.labels.source}"',
            f"[train]\nsector_num = {config.train.sector_num}\nepochs = {config.train.epochs}",
            f"seed = {config.train.seed}",
            f"[cluster]\nworkers = {config.cluster.workers}",
        ]
    )


if __name__ == "__main__":
    main()
