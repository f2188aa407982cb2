"""What a GPU makes of it: features of ResNet-50 a second, their share of the chip's peak, and whether they are right.

Features are computed in bf16 and in fp32 through the engine that a training uses, and compared with those of the same
slices on this machine's processors in fp32. Then heads are trained through a local cluster that offers as many GPUs as
there are, one task on each at a time. Weights are random, which are as fast as any; nothing is downloaded.

    python benchmarks/gpu.py [--images 4096] [--batch 512] [--peak 989] [--gpus N]
    python benchmarks/gpu.py --cpu      # without a GPU, at a tiny size: the script itself is tried
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.backbones import random_resnet50
from lidcflow.config import ClusterConfig, TrainConfig

PEAK_TFLOPS = {
    "B200": 2250.0,
    "H200": 989.0,
    "H100 PCIe": 756.0,
    "H100": 989.0,
    "A100": 312.0,
    "L40S": 362.0,
    "A10": 125.0,
    "L4": 121.0,
    "T4": 65.0,
}
"""Dense bf16 (T4: fp16) of the makers' data sheets, the first name that the chip's contains."""

TINY = {"size": 32, "images": 16, "batch": 8, "rounds": 2}
NO_GPU = "gpu: this machine must have a GPU, got none from nvidia-smi; no GPU found, --cpu tries the script without one"


def main() -> None:
    """Measure and print; exit code 1 where there is no GPU."""
    chosen = options()
    if chosen.measure:
        print(json.dumps(measured(chosen)))
        return
    names = [] if chosen.cpu else gpu_names()
    if not names and not chosen.cpu:
        raise SystemExit(NO_GPU)
    if chosen.cpu:
        vars(chosen).update(TINY)
    report(in_a_process_of_its_own(chosen), names, chosen.peak)
    count = chosen.gpus or len(names) or 2
    report_cluster(trained_on_cluster(count, tasks=2 * count), count)


def options() -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cpu", action="store_true", help="no GPU: everything at a tiny size on the processors")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--images", type=int, default=4096)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peak", type=float, help="bf16 TFLOP/s of the chip, where the table does not have it")
    parser.add_argument("--gpus", type=int, help="workers that offer a GPU; by default one for each")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def gpu_names() -> list[str]:
    """Return the names of the GPUs that the driver knows; none where there is no driver."""
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    with contextlib.suppress(OSError):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return [line.strip() for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else []
    return []


def peak_of(name: str) -> float | None:
    """Return the peak of a chip in TFLOP/s, where it is known.

    Examples
    --------
    >>> peak_of("NVIDIA H100 80GB HBM3"), peak_of("NVIDIA H100 PCIe"), peak_of("another")
    (989.0, 756.0, None)
    """
    return next((peak for part, peak in PEAK_TFLOPS.items() if part in name), None)


def in_a_process_of_its_own(chosen: argparse.Namespace) -> dict[str, Any]:
    """Measure apart: TensorFlow keeps the memory of every GPU it sees, and the cluster comes after."""
    numbers = [f"--{name}={getattr(chosen, name)}" for name in TINY]
    hidden = {"CUDA_VISIBLE_DEVICES": "-1"} if chosen.cpu else {}
    done = subprocess.run(
        [sys.executable, __file__, "--measure", *numbers, *(["--cpu"] if chosen.cpu else [])],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, **hidden},
    )
    return json.loads(done.stdout.splitlines()[-1])


def measured(chosen: argparse.Namespace) -> dict[str, Any]:
    """Compute features both ways in this process, and compare them."""
    from lidcflow.learn.engines import MOST_ERROR, feature_error, load_engine
    from lidcflow.learn.networks import load_backbone
    from lidcflow.learn.runtime import keras

    random = np.random.default_rng(0)
    shape = (chosen.images, chosen.size, chosen.size, 3)
    images = random.uniform(0, 255, shape).astype(np.float32)
    found: dict[str, Any] = {"devices": keras.distribution.list_devices()}
    with tempfile.TemporaryDirectory() as folder:
        config = TrainConfig(backbone="resnet50", backbone_weights=random_resnet50(Path(folder)))
        with keras.device("cpu:0"):
            reference_model = load_backbone(config, chosen.size)[0]
            reference = np.asarray(reference_model(images[: chosen.batch], training=False))
        found["gflop"] = flop_of(reference_model) / 1e9
        for precision in ("fp32", "bf16"):
            network = load_engine(config.model_copy(update={"precision": precision}), chosen.size).network
            features = network(images[: chosen.batch])
            found[precision] = {
                "images_s": images_a_second(network, images, chosen.batch, chosen.rounds),
                "error": feature_error(features, reference),
                "most": MOST_ERROR[precision],
            }
    return found


def flop_of(model: Any) -> float:
    """Count the operations of one image: two for each weight of a convolution at each place of its output."""
    total = 0.0
    for layer in model._flatten_layers():
        if type(layer).__name__ == "Conv2D":
            _, rows, columns, channels = layer.output.shape
            high, wide, inputs, _ = layer.kernel.shape
            total += 2.0 * rows * columns * channels * high * wide * inputs
    return total


def images_a_second(network: Any, images: np.ndarray, batch: int, rounds: int) -> float:
    """Return the median rate over rounds, of full batches, after one that is not counted."""
    batches = [images[start : start + batch] for start in range(0, len(images) - batch + 1, batch)]
    network(batches[0])
    rates = []
    for _ in range(rounds):
        started_s = time.perf_counter()
        for part in batches:
            network(part)
        rates.append(len(batches) * batch / (time.perf_counter() - started_s))
    return statistics.median(rates)


def report(found: dict[str, Any], names: list[str], told_peak: float | None) -> None:
    """Print the rates, and whether the features are those of the processors; exit code 1 where they are not."""
    peak = told_peak or (peak_of(names[0]) if names else None)
    print(f"{names[0] if names else 'processors, no GPU'}; Keras sees {', '.join(found['devices'])}")
    print(f"ResNet-50 without its top: {found['gflop']:.2f} GFLOP an image")
    wrong = []
    for precision in ("fp32", "bf16"):
        one = found[precision]
        tflops = one["images_s"] * found["gflop"] / 1000
        share = f", {tflops / peak:.1%} of the peak of {peak:g}" if peak and precision == "bf16" else ""
        ratio = one["images_s"] / found["fp32"]["images_s"]
        print(
            f"  {precision}: {one['images_s']:8.0f} images/s ({ratio:.1f} times fp32), {tflops:.2f} TFLOP/s{share}; "
            f"features differ by {one['error']:.1e} of their spread, at most {one['most']:g} is accepted"
        )
        wrong += [] if one["error"] <= one["most"] else [precision]
    if wrong:
        raise SystemExit(f"gpu: features must be those of fp32 on processors, got others in {' and '.join(wrong)}")


def train_head(number: int, features: int) -> dict[str, Any]:
    """Train a head on made-up features, and tell where and when."""
    from lidcflow.learn.fitting import fit_head
    from lidcflow.learn.runtime import keras

    random = np.random.default_rng(number)
    x, y = random.normal(size=(256, features)).astype(np.float32), np.arange(256) % 3
    x[np.arange(256), y] += 3
    started_s = time.time()
    fit_head(x[:192], y[:192], x[192:], y[192:], TrainConfig(epochs=3, head="paper"), number)
    return {
        "gpu": os.environ.get("CUDA_VISIBLE_DEVICES", ""),
        "devices": keras.distribution.list_devices(),
        "started_s": started_s,
        "ended_s": time.time(),
    }


def trained_on_cluster(gpus: int, tasks: int) -> list[dict[str, Any]]:
    """Train heads through a cluster that offers GPUs, as sectors are."""
    from tasks.cluster.open import map_series, open_cluster

    with open_cluster(ClusterConfig(gpus=gpus), "train") as cluster:
        outcomes = [
            outcome for _, outcome in map_series(cluster.address, partial(train_head, features=64), range(tasks))
        ]
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
    return outcomes


def report_cluster(trained: list[dict[str, Any]], gpus: int) -> None:
    """Print what ran where; exit code 1 where a GPU had two tasks at once, or none."""
    used = Counter(one["gpu"] for one in trained)
    print(f"{len(trained)} heads on {gpus} workers with a GPU each: {dict(sorted(used.items()))}")
    if len(used) < gpus:
        raise SystemExit(f"gpu: every one of {gpus} GPUs must get a task, got {len(used)}")
    for gpu in used:
        turns = sorted((one["started_s"], one["ended_s"]) for one in trained if one["gpu"] == gpu)
        if any(later[0] < earlier[1] for earlier, later in pairwise(turns)):
            raise SystemExit(f"gpu: a GPU must have one training task at a time, got two on GPU {gpu}")
    print("one training task at a time on each")


if __name__ == "__main__":
    main()
