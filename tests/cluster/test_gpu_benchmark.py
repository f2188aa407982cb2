"""The GPU benchmark runs from end to end on a machine without one."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


def test_the_benchmark_can_be_tried_without_a_gpu():
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--cpu"], capture_output=True, text=True, timeout=600, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "processors, no GPU; Keras sees cpu:0" in done.stdout
    assert "bf16:" in done.stdout
    assert "4 heads on 2 workers with a GPU each: {'0': 2, '1': 2}" in done.stdout
