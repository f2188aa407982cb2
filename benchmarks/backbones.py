"""Images a second through the backbones: Keras on TensorFlow and JAX, OpenVINO, ONNX Runtime; and what AUROC says.

    python benchmarks/backbones.py [--rounds 5] [--volumes 60]

Each engine gets batches of 65 images, in turn with the others of its process, and the median round counts; a backend
of Keras and a number of threads need a process each. ResNet-50 has random weights, which are as fast as any. ONNX
Runtime takes part where tf2onnx is installed. The AUROC is that of linear heads, each trained on the features that
its engine makes of made-up chests, on the slices of chests that were held out.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from lidcflow.config import TrainConfig
from lidcflow.learn.engines import load_engine

ENGINES = {
    "Keras/TensorFlow fp32": {},
    "Keras/TensorFlow bf16": {"precision": "bf16"},
    "OpenVINO fp32": {"engine": "openvino"},
    "OpenVINO bf16": {"engine": "openvino", "precision": "bf16"},
}
REFERENCE, IN_JAX, IN_ONNX = "Keras/TensorFlow fp32", "Keras/JAX fp32", "ONNX Runtime fp32"
BATCH = 65
FIRST_SEED = 50_000_000
BF16_FLAGS = ("avx512_bf16", "amx_bf16")

Networks = dict[str, Callable[[np.ndarray], np.ndarray]]


def main() -> None:
    """Print the tables, or measure in a process of one backend and one number of threads."""
    options = parse_options()
    if options.measure == "auroc":
        print(json.dumps(aurocs(options.volumes)))
    elif options.measure:
        print(json.dumps(speeds(options)))
    else:
        report(options)


def parse_options() -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--volumes", type=int, default=60)
    parser.add_argument("--measure", choices=["tensorflow", "jax", "auroc"], help=argparse.SUPPRESS)
    return parser.parse_args()


def report(options: argparse.Namespace) -> None:
    """Measure in one process after the other and print."""
    cores = len(os.sched_getaffinity(0))
    flags = set(Path("/proc/cpuinfo").read_text().split())
    print(f"{cores} cores, bf16 by {', '.join(flag for flag in BF16_FLAGS if flag in flags) or 'nothing'}")
    for threads in sorted({1, cores}):
        found: dict[str, dict[str, float]] = {}
        for backend in ("tensorflow", "jax"):
            for case, rates in measured(backend, threads, options).items():
                found.setdefault(case, {}).update(rates)
        for case, rates in found.items():
            print_rates(f"{case}, {threads} thread{'s' if threads > 1 else ''}", rates)
    reference, *others = measured("auroc", cores, options).items()
    print(f"AUROC on features of {reference[0]}: {reference[1]:.4f}")
    for name, auroc in others:
        print(f"  {name:24}{auroc:.4f}  {auroc - reference[1]:+.4f}")


def measured(what: str, threads: int, options: argparse.Namespace) -> dict:
    """Run this file in a process of its own."""
    backend = "jax" if what == "jax" else "tensorflow"
    counts = dict.fromkeys(("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"), str(threads))
    arguments = ["--measure", what, "--rounds", str(options.rounds), "--volumes", str(options.volumes)]
    environment = {**os.environ, **counts, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(
        [sys.executable, __file__, *arguments], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def print_rates(case: str, rates: dict[str, float]) -> None:
    """Print images a second, the ratio to TensorFlow, and the share of the best engine at fp32."""
    best = max(rate for name, rate in rates.items() if name.endswith("fp32"))
    print(f"{case}\n  {'':24}{'images/s':>9}{'ratio':>7}{'of best fp32':>14}")
    for name, rate in rates.items():
        print(f"  {name:24}{rate:9.0f}{rate / rates[REFERENCE]:7.2f}{rate / best:14.0%}")


def speeds(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Measure every backbone and size in this process."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for config in (TrainConfig(), TrainConfig(backbone="resnet50", backbone_weights=random_resnet50(Path(folder)))):
            for size in (128, 64):
                case = f"{config.backbone} {size} x {size}"
                found[case] = images_a_second(dict(networks(config, size, options.measure)), size, options.rounds)
    return found


def random_resnet50(folder: Path) -> Path:
    """Write weights as Keras publishes them, save that they are random."""
    from lidcflow.learn.runtime import keras

    file = folder / "resnet50.weights.h5"
    keras.applications.ResNet50(include_top=False, weights=None, input_shape=(64, 64, 3)).save_weights(file)
    return file


def networks(config: TrainConfig, size: int, backend: str) -> Iterator[tuple[str, Callable]]:
    """Yield the engines of a backend."""
    if backend == "jax":
        yield IN_JAX, load_engine(config, size).network
        return
    for name, settings in ENGINES.items():
        yield name, load_engine(config.model_copy(update=settings), size).network
    try:
        yield IN_ONNX, onnx_network(config, size)
    except ImportError as error:
        print(f"{IN_ONNX} is left out: {error}", file=sys.stderr)


def onnx_network(config: TrainConfig, size: int) -> Callable[[np.ndarray], np.ndarray]:
    """Convert a backbone for ONNX Runtime."""
    import onnxruntime
    import tf2onnx  # noqa: F401  Keras' export asks for it, late

    from lidcflow.learn.networks import load_backbone

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ["OMP_NUM_THREADS"])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "backbone.onnx"
        load_backbone(config, size)[0].export(str(file), format="onnx", verbose=False)
        session = onnxruntime.InferenceSession(file.read_bytes(), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda images: session.run(None, {name: images})[0]


def images_a_second(networks: Networks, size: int, rounds: int) -> dict[str, float]:
    """Run the engines in turns and return the median rate of each; the first round warms up and is dropped."""
    images = np.random.default_rng(0).uniform(0, 255, (BATCH, size, size, 3)).astype(np.float32)
    times_s: dict[str, list[float]] = {name: [] for name in networks}
    for _ in range(rounds + 1):
        for name, network in networks.items():
            started = time.perf_counter()
            network(images)
            times_s[name].append(time.perf_counter() - started)
    return {name: BATCH / statistics.median(taken_s[1:]) for name, taken_s in times_s.items()}


def aurocs(volumes: int) -> dict[str, float]:
    """Train a head on the features of each engine and score the last third of the chests."""
    from lidcflow.learn.chests import SIZE, make_pretraining_set

    with tempfile.TemporaryDirectory() as folder:
        chests = make_pretraining_set(Path(folder), range(FIRST_SEED, FIRST_SEED + volumes), processes=2)
        hu, labels = [np.swapaxes(chest, 0, 1) for chest in chests.hu], np.asarray(chests.labels)
        engines = {name: load_engine(TrainConfig(**settings), SIZE) for name, settings in ENGINES.items()}
        return {name: head_auroc(engine, hu, labels) for name, engine in engines.items()}


def head_auroc(engine, hu: list[np.ndarray], labels: np.ndarray) -> float:
    """Train on the first half of the chests, stop by the next sixth, and score nodule or not on the last third."""
    from lidcflow.learn.features import series_features
    from lidcflow.learn.fitting import fit_head
    from lidcflow.learn.predict import outputs_of

    features = np.stack([series_features(engine.network, chest, engine.backbone) for chest in hu])
    parts = np.split(np.arange(len(hu)), [len(hu) // 2, 2 * len(hu) // 3])
    (x_train, y_train), (x_val, y_val), (x_test, y_test) = (
        (features[part].reshape(-1, features.shape[2]), labels[part].ravel()) for part in parts
    )
    logits = outputs_of(fit_head(x_train, y_train, x_val, y_val, TrainConfig(), seed=0).model, x_test)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return float(roc_auc_score(y_test > 0, odds[:, 1:].sum(axis=1) / odds.sum(axis=1)))


if __name__ == "__main__":
    main()
