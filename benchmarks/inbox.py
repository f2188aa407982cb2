"""A study from its folder to the answer, from a PACS to documents in it, and a queue of studies with a round killed.

    python -m benchmarks.inbox study [--slices 240] [--repeats 3]
    python -m benchmarks.inbox stages [--slices 240]
    python -m benchmarks.inbox queue [--studies 200] [--kills 5]

`study`: everything is loaded before. Against 13 ResNet-50 models with random weights that are loaded and asked sector
by sector (page cache warm), and against preprocessing and one pass through the backbone alone.
`stages` and `queue` start an Orthanc on loopback and train a release of 8 slices of 32 x 32 first; `queue` is in
`benchmarks.inbox_queue`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import record_ratio
from benchmarks.inbox_queue import queue, serving
from benchmarks.pacs import usable, write
from flows.environment import prepare
from lidcflow.config import Access, Config, InferConfig
from lidcflow.release.facts import ReleaseFacts
from lidcflow.volume.reduce import reduce_series
from tests.conftest import write_ct_series

SECTORS = 13
Times = tuple[float, float]
"""Wall and CPU seconds."""

STAGES = ("poll_source", "preprocess_missing", "infer_all", "deliver_answer")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("study", "stages", "queue"))
    for name, default in (("slices", 240), ("repeats", 3), ("studies", 200), ("kills", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        prepare(Config(workspace=Path(scratch) / "prefect"))
        if options.what == "queue":
            queue(Path(scratch), options.studies, options.kills)
        else:
            {"study": study, "stages": stages}[options.what](Path(scratch), options)


def study(scratch: Path, options: argparse.Namespace) -> None:
    """Compare the ways to read one study, and tell where the time of ours goes."""
    folder, config = write(scratch, options.slices), Config(workspace=scratch / "workspace")
    ours, parts = ways(folder, config, scratch)
    whole = {"folder to JSON": ours, "folder to JSON and page": lambda: ours(page=True)}
    old = {f"{SECTORS} ResNet-50 models, loaded and asked": many_models(scratch)}
    times: dict[str, Times] = {}
    for ways_of, repeats in (({**whole, **parts}, options.repeats), (old, 2)):
        times |= fastest_in_turn(ways_of, repeats)
    print(f"{'the fastest of each':45} {'wall':>8} {'CPU':>8}")
    for name, (wall_s, cpu_s) in times.items():
        print(f"{name:45} {wall_s:6.3f} s {cpu_s:6.3f} s")
    least = [sum(times[name][clock] for name in parts) for clock in (0, 1)]
    (old_s, _), mine = list(times.values())[-1], times["folder to JSON"]
    print(f"ours takes {mine[0] / least[0]:.2f} times the sum of its parts, {mine[1] / least[1]:.2f} times in CPU time")
    record_ratio(f"{SECTORS} ResNet-50 models: their time by that from folder to JSON", old_s / mine[0])
    print(f"the models take {old_s / mine[0]:.1f} times as long as ours")
    print_stages(ours, options.repeats)


def print_stages(ours: Callable[..., None], repeats: int) -> None:
    """Print the fastest time of each stage."""
    runs: list[dict[str, Times]] = [{} for _ in range(repeats)]
    for spent in runs:
        ours(page=True, spent=spent)
    for name in runs[0]:
        wall_s, cpu_s = (min(spent[name][clock] for spent in runs) for clock in (0, 1))
        print(f"    {name:30} {1000 * wall_s:7.1f} ms {1000 * cpu_s:7.1f} ms")


@contextmanager
def clocked(spent: dict[str, Times], name: str) -> Iterator[None]:
    started_s = time.perf_counter(), time.process_time()
    yield
    spent[name] = time.perf_counter() - started_s[0], time.process_time() - started_s[1]


def ways(folder: Path, config: Config, scratch: Path) -> tuple[Callable[..., None], dict[str, Callable[[], Any]]]:
    """Return what reads a study as the flow does, and preprocessing and the backbone alone; the network is loaded."""
    from lidcflow.learn.backbones import describe_backbone
    from lidcflow.learn.engines import load_engine
    from lidcflow.learn.features import keep_features, volume_features
    from lidcflow.learn.predict import release_probabilities
    from lidcflow.report.page import write_report
    from lidcflow.report.rank import recommend
    from lidcflow.store.volumes import VolumeStore
    from tasks.worker import preprocess_series

    shape, engine = config.preprocess, load_engine(config.train, config.preprocess.size)
    (series,) = usable(str(folder), Access())
    hu = reduce_series(series, shape).hu
    sectors = untrained_sectors(volume_features(engine, [hu])[0])
    release = ReleaseFacts(
        name="lidcflow",
        version=1,
        threshold_nodule=0.5,
        sector_num=SECTORS,
        preprocess_digest=shape.digest,
        backbone_id=describe_backbone(config.train, shape.size).id,
        synthetic=True,
    )

    def ours(*, page: bool = False, spent: dict[str, Times] | None = None) -> None:
        spent = {} if spent is None else spent
        store = VolumeStore(str(Path(tempfile.mkdtemp(dir=scratch)) / "store"), shape)
        with clocked(spent, "headers and verdict"):
            (found,) = usable(str(folder), Access())
        with clocked(spent, "voxels to the stored volume"):
            preprocess_series(found, store_root=store.root, config=shape, access=Access())
        with clocked(spent, "volume read back"):
            record, volume = store.record(found.series_instance_uid), store.read_hu(found.series_instance_uid)
        with clocked(spent, "backbone"):
            (features,) = volume_features(engine, [volume])
        with clocked(spent, "features stored"):
            keep_features(store, record, features, engine, feature_id=engine.backbone.id)
        with clocked(spent, f"{SECTORS} heads"):
            probabilities = release_probabilities(sectors, features[None])[0]
        with clocked(spent, "recommendation and JSON"):
            said = recommend(probabilities, record, release, InferConfig())
            (scratch / "recommendations.json").write_text(said.to_json())
        if page:
            with clocked(spent, "page"):
                write_report(said, volume, scratch / "report")

    parts = {
        "index and preprocessing alone": lambda: reduce_series(usable(str(folder), Access())[0], shape),
        "one pass through the backbone alone": lambda: volume_features(engine, [hu]),
    }
    return ours, parts


def untrained_sectors(features: NDArray[np.float16]) -> list[tuple[range, Any]]:
    """Return a calibrated head for each sector, loaded as the heads of a release are."""
    from lidcflow.learn.arithmetic import numpy_head
    from lidcflow.learn.heads import build_head, calibrated_model
    from lidcflow.stats.calibration import Calibration

    per, unmoved = len(features) // SECTORS, Calibration(1.0, (0.0, 0.0, 0.0))
    heads = (build_head("linear", features.astype(np.float32), n) for n in range(SECTORS))
    return [
        (range(n * per, (n + 1) * per), numpy_head(calibrated_model(head, unmoved))) for n, head in enumerate(heads)
    ]


def many_models(scratch: Path) -> Callable[[], None]:
    """Return what loads a full network for each sector and asks it for its slices."""
    import keras

    file, per = scratch / "model.keras", 65 // SECTORS
    keras.applications.ResNet50(weights=None, input_shape=(128, 128, 3), classes=3).save(file)
    slices = np.zeros((per, 128, 128, 3), np.float32)

    def work() -> None:
        for _ in range(SECTORS):
            keras.models.load_model(file).predict(slices, verbose=0)

    return work


def fastest_in_turn(ways: dict[str, Callable[[], Any]], repeats: int) -> dict[str, Times]:
    """Run all ways in turn, and return the least wall and CPU time of each."""
    runs: list[dict[str, Times]] = [{} for _ in range(repeats)]
    for spent in runs:
        for name, work in ways.items():
            with clocked(spent, name):
                work()
    return {name: (min(one[name][0] for one in runs), min(one[name][1] for one in runs)) for name in ways}


def stages(scratch: Path, options: argparse.Namespace) -> None:
    """Time the stages of a round from a stable study to its documents, with a cluster that runs already."""
    import flows.inbox
    import flows.inbox_batches

    with serving(scratch) as (config, server):
        spent: Counter[str] = Counter()
        for name in STAGES:
            module = flows.inbox if hasattr(flows.inbox, name) else flows.inbox_batches
            setattr(module, name, timed(getattr(module, name), name, spent))
        for patient in ("first", "second"):  # the first one loads the models
            write_ct_series(
                scratch / patient / "ct", n=options.slices, size=512, patient_id=patient, hu=0, spacing_mm=1.25
            )
            server.send(scratch / patient)
            server.wait_until_stable(1 if patient == "first" else 3)
            spent.clear()
            started_s = time.perf_counter()
            report = flows.inbox.inbox(config.inboxes, config)
            spent["the whole round"] = time.perf_counter() - started_s
        print(f"{report.delivered} delivered")
        for name, seconds in spent.items():
            print(f"{name:20} {seconds:8.3f} s")


def timed(work: Callable[..., Any], name: str, spent: Counter[str]) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        started_s = time.perf_counter()
        try:
            return work(*arguments, **options)
        finally:
            spent[name] += time.perf_counter() - started_s

    return call


if __name__ == "__main__":
    main()
