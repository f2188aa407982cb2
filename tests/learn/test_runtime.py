import os
import subprocess
import sys

from lidcflow.learn.runtime import FEW_STEPS, is_run_eagerly, without_chatter

SET_BY_RUNTIME = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "NPROC")
"""What the module sets for its process, and so for the tests after the first that imports it there."""


def imported(**variables: str) -> subprocess.CompletedProcess[str]:
    code = "import lidcflow.learn.runtime, os; print(os.environ['TF_NUM_INTRAOP_THREADS'])"
    inherited = {name: value for name, value in os.environ.items() if name not in SET_BY_RUNTIME}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=inherited | variables)


def test_a_backend_takes_the_threads_of_its_process_and_starts_silently():
    started = imported(OMP_NUM_THREADS="1")

    assert (started.stdout.split(), started.stderr) == (["1"], "")


def test_only_chatter_is_held_back(capfd):
    with without_chatter():
        os.write(2, b"I0000 oneDNN custom operations are on. You may\nlibrary missing\n")

    assert capfd.readouterr().err == "library missing\n"


def test_short_trainings_alone_are_run_without_tracing():
    assert [is_run_eagerly(steps) for steps in (1, FEW_STEPS, FEW_STEPS + 1)] == [True, True, False]
