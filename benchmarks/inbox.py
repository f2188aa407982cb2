"""A study from its folder to the answer, from a PACS to documents in it, and a queue of studies with a round killed.

    python -m benchmarks.inbox study [--slices 240] [--repeats 3]
    python -m benchmarks.inbox stages [--slices 240]
    python -m benchmarks.inbox queue [--studies 200] [--kills 5]

`study`: everything is loaded before. Against 13 ResNet-50 models with random weights that are loaded and asked sector
by sector (page cache warm), and against preprocessing and one pass through the backbone alone.
`stages` and `queue` start an Orthanc on loopback and train a release of 8 slices of 32 x 32 first. `queue` goes round
in processes that are killed at random times, then once more, and counts what the PACS holds.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.pacs import usable, write
from flows.environment import prepare
from lidcflow.config import Access, Config, DeliveryConfig, InferConfig
from lidcflow.ct.reduce import reduce_series
from lidcflow.read.recommendation import ReleaseFacts
from tests.conftest import write_ct_series
from tests.orthanc import Orthanc, orthanc

SECTORS = 13
STAGES = ("look", "bring_all", "read_all", "deliver")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("study", "stages", "queue"))
    for name, default in (("slices", 240), ("repeats", 3), ("studies", 200), ("kills", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        prepare(Config(workspace=Path(scratch) / "prefect"))
        {"study": study, "stages": stages, "queue": queue}[options.what](Path(scratch), options)


def study(scratch: Path, options: argparse.Namespace) -> None:
    """Compare the ways to read one study."""
    folder, config = write(scratch, options.slices), Config(workspace=scratch / "workspace")
    ours, parts = ways(folder, config, scratch)
    whole = {"folder to JSON": ours, "folder to JSON and page": lambda: ours(page=True)}
    times = {name: fastest(work, options.repeats) for name, work in {**whole, **parts}.items()}
    times[f"{SECTORS} ResNet-50 models, loaded and asked"] = fastest(many_models(scratch), 1)
    for name, seconds in times.items():
        print(f"{name:45} {seconds:8.3f} s")
    ours_s, least_s, old_s = times["folder to JSON"], sum(times[name] for name in parts), list(times.values())[-1]
    print(f"the models take {old_s / ours_s:.1f} times ours; ours {ours_s / least_s:.2f} times the sum of its parts")


def ways(folder: Path, config: Config, scratch: Path) -> tuple[Callable[..., Any], dict[str, Callable[[], Any]]]:
    """Give what reads a study as the flow does, and preprocessing and the backbone alone; the network is loaded."""
    import keras

    from lidcflow.learn.backbones import describe_backbone
    from lidcflow.learn.engines import load_engine
    from lidcflow.learn.features import volume_features
    from lidcflow.learn.heads import build_head
    from lidcflow.learn.predict import release_probabilities
    from lidcflow.read.recommend import recommend
    from lidcflow.read.report import write_report
    from lidcflow.store.volumes import VolumeStore
    from tasks.worker import preprocess_series

    shape, engine = config.preprocess, load_engine(config.train, config.preprocess.size)
    (series,) = usable(str(folder), Access())
    hu = reduce_series(series, shape).hu
    (features,) = volume_features(engine, [hu])
    heads = [
        keras.Sequential([build_head("linear", features.astype("float32"), n), keras.layers.Softmax()])
        for n in range(SECTORS)
    ]
    per = shape.slices // SECTORS
    sectors = [(range(n * per, (n + 1) * per), head) for n, head in enumerate(heads)]
    release = ReleaseFacts(
        name="lidcflow",
        version=1,
        threshold_nodule=0.5,
        sector_num=SECTORS,
        preprocess_digest=shape.digest,
        backbone_id=describe_backbone(config.train, shape.size).id,
        synthetic=True,
    )

    def ours(*, page: bool = False) -> None:
        store = VolumeStore(str(Path(tempfile.mkdtemp(dir=scratch)) / "store"), shape)
        (found,) = usable(str(folder), Access())
        uid = found.series_instance_uid
        preprocess_series(found, store_root=store.root, config=shape, access=Access())
        record, volume = store.record(uid), store.read_hu(uid)
        probabilities = release_probabilities(sectors, volume_features(engine, [volume])[0][None])[0]
        said = recommend(probabilities, record, release, InferConfig())
        (scratch / "recommendations.json").write_text(said.to_json())
        if page:
            write_report(said, volume, scratch / "report")

    parts = {
        "index and preprocessing alone": lambda: reduce_series(usable(str(folder), Access())[0], shape),
        "one pass through the backbone alone": lambda: volume_features(engine, [hu]),
    }
    return ours, parts


def many_models(scratch: Path) -> Callable[[], None]:
    """Give what loads a full network for each sector and asks it for its slices."""
    import keras

    file, per = scratch / "model.keras", 65 // SECTORS
    keras.applications.ResNet50(weights=None, input_shape=(128, 128, 3), classes=3).save(file)
    slices = np.zeros((per, 128, 128, 3), np.float32)

    def work() -> None:
        for _ in range(SECTORS):
            keras.models.load_model(file).predict(slices, verbose=0)

    return work


def fastest(work: Callable[[], Any], repeats: int) -> float:
    seconds = []
    for _ in range(repeats):
        started_s = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started_s)
    return min(seconds)


def stages(scratch: Path, options: argparse.Namespace) -> None:
    """Time the stages of a round from a stable study to its documents, with a cluster that runs already."""
    import flows.inbox

    with serving(scratch) as (config, server):
        spent: Counter[str] = Counter()
        for name in STAGES:
            setattr(flows.inbox, name, timed(getattr(flows.inbox, name), name, spent))
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


def queue(scratch: Path, options: argparse.Namespace) -> None:
    """Go round, killed at random, then to the end, and tell what the PACS holds."""
    with serving(scratch) as (config, server):
        for number in range(options.studies):
            server.send(write_ct_series(scratch / "in" / str(number), patient_id=str(number)))
        server.wait_until_stable(options.studies)
        started_s = time.perf_counter()
        for _ in range(options.kills):
            go_round(config, kill_after_s=random.uniform(4, 25))
        go_round(config)
        seconds = time.perf_counter() - started_s
        found = Counter(documents_in(server))
    print(
        f"{options.studies} studies in {seconds:.0f} s, {60 * options.studies / seconds:.1f} a minute, kills included"
    )
    print(f"documents: {found}; each of KO and SR must be {options.studies}")


def go_round(config: Config, kill_after_s: float = 7200) -> None:
    """Go round in a process of its own, and print its memory over time."""
    process = subprocess.Popen([sys.executable, "-m", "tests.inbox_round", "0"], stdin=subprocess.PIPE, text=True)
    assert process.stdin
    process.stdin.write(config.model_dump_json())
    process.stdin.close()
    started_s, rss_mib = time.perf_counter(), []
    while process.poll() is None and time.perf_counter() - started_s < kill_after_s:
        time.sleep(1)
        rss_mib.append(psutil.Process(process.pid).memory_info().rss / 2**20)
    killed = process.poll() is None
    process.kill()
    process.wait()
    tenths = [round(rss_mib[len(rss_mib) * k // 10]) for k in range(10)] if rss_mib else []
    print(f"{'killed' if killed else 'ended'} after {time.perf_counter() - started_s:.0f} s, MiB over time {tenths}")


def documents_in(server: Orthanc) -> list[str]:
    """Return the modality of each document in the PACS."""
    series = server.ask("GET", "/series?expand")
    return [
        one["MainDicomTags"]["Modality"]
        for one in series
        if one["MainDicomTags"]["Modality"] in ("KO", "SR")
        for _ in one["Instances"]
    ]


@contextmanager
def serving(scratch: Path) -> Iterator[tuple[Config, Orthanc]]:
    """Give a release, a cluster, and a PACS that is inbox and target."""
    from prefect.settings import PREFECT_API_URL
    from prefect.testing.utilities import prefect_test_harness

    from tests.released import release_in

    with (
        orthanc() as server,
        prefect_test_harness(server_startup_timeout=120),
        release_in(scratch / "released") as made,
    ):
        os.environ["PREFECT_API_URL"] = str(PREFECT_API_URL.value())
        delivery = DeliveryConfig(to=("pacs:main",), settle_s=0)
        own = {"workspace": scratch / "workspace", "inbox": "pacs:main", "access": server.access, "delivery": delivery}
        yield made.model_copy(update=own), server


if __name__ == "__main__":
    main()
