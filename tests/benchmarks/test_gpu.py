"""The logic of the GPU benchmark; the whole of it runs in tests/cluster."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import gpu

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


def turn(device, started_s, ended_s):
    return {"gpu": device, "started_s": started_s, "ended_s": ended_s}


def test_a_machine_without_a_gpu_is_told_so_in_one_sentence(tmp_path):
    done = subprocess.run(
        [sys.executable, str(SCRIPT)], capture_output=True, text=True, check=False, env={"PATH": str(tmp_path)}
    )

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == gpu.NO_GPU


@pytest.mark.parametrize(
    ("name", "peak"),
    [("NVIDIA H100 PCIe", 756.0), ("NVIDIA H100 80GB HBM3", 989.0), ("NVIDIA L40S", 362.0), ("Tesla T4", 65.0)],
)
def test_the_peak_of_a_chip_is_found_by_its_name(name, peak):
    assert gpu.peak_of(name) == peak


def test_operations_are_two_for_each_weight_at_each_place():
    from lidcflow.learn.runtime import keras

    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(4, 3, strides=2, padding="same")(inputs))

    assert gpu.flop_of(model) == 2 * (4 * 4) * 4 * (3 * 3 * 3)


def test_a_rate_counts_full_batches(monkeypatch):
    seconds = iter([0.0, 2.0, 2.0, 6.0, 6.0, 8.0])
    monkeypatch.setattr(gpu, "time", SimpleNamespace(perf_counter=lambda: next(seconds)))  # not pytest's own clock

    assert gpu.images_a_second(len, np.zeros((10, 1)), batch=4, rounds=3) == 4.0


def test_two_tasks_at_once_on_a_gpu_are_an_error(capsys):
    gpu.report_cluster([turn("0", 0, 2), turn("0", 2, 3), turn("1", 0, 1)], gpus=2)

    with pytest.raises(SystemExit, match="one training task at a time, got two on GPU 0"):
        gpu.report_cluster([turn("0", 0, 2), turn("0", 1, 3), turn("1", 0, 1)], gpus=2)
    with pytest.raises(SystemExit, match="every one of 2 GPUs must get a task, got 1"):
        gpu.report_cluster([turn("0", 0, 2)], gpus=2)
    assert "one training task at a time on each" in capsys.readouterr().out


def test_features_that_are_others_end_in_an_error(capsys):
    one = {"images_s": 100.0, "error": 0.0, "most": 0.001}
    found = {"devices": ["gpu:0"], "gflop": 2.5, "fp32": one, "bf16": {"images_s": 400.0, "error": 0.05, "most": 0.1}}

    gpu.report(found, ["NVIDIA A100"], None)

    assert "1.00 TFLOP/s, 0.3% of the peak of 312" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="got others in bf16"):
        gpu.report({**found, "bf16": {**one, "error": float("nan")}}, [], None)
