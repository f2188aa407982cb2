"""The check of Keras and its backend: what is installed and loads, or a whole start, which takes seconds of CPU."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement

from flows.environment import ALWAYS
from flows.service.machine_checks import Result, fail, misfit, ok, warn

LIMIT_S = 180.0
WAY_OUT = "pip install 'lidcflow[cpu]' or 'lidcflow[gpu]'; TensorFlow needs a processor with AVX"
NOT_STARTED = "not started, as `lidcflow doctor --full` does"
WHEELS = ("tensorflow-cpu", "tensorflow")
DRIVER_GPUS = Path("/proc/driver/nvidia/gpus")
"""One folder for each GPU that NVIDIA's driver knows."""

LOAD_PROGRAM = "import ctypes, sys; [ctypes.CDLL(file) for file in sys.argv[1:]]"
START_PROGRAM = (
    "from lidcflow.learn.runtime import keras; "
    "print(keras.__version__, 'on', keras.backend.backend(), "
    "'with', ', '.join(keras.distribution.list_devices()))"
)


def installed() -> Result:
    """Keras and its backend are installed at versions that fit, and TensorFlow's libraries load."""
    backend = os.environ.get("KERAS_BACKEND") or ALWAYS["KERAS_BACKEND"]
    folder = package_folder(backend)
    if folder is None or not is_installed("keras"):
        return fail(f"Keras and its backend {backend} must be installed", WAY_OUT)
    if backend != "tensorflow":
        return ok(f"{version('keras')} and its backend {backend} are installed; {NOT_STARTED}")
    if wrong := list(misfits(["keras", *WHEELS])):
        return fail("; ".join(wrong), WAY_OUT)
    return tensorflow(folder)


def tensorflow(folder: Path) -> Result:
    """Load the libraries in TensorFlow's folder; a broken or foreign one is a failure."""
    libraries = sorted(folder.glob("libtensorflow_*"))
    if not libraries:
        return warn("no libraries of TensorFlow found to load", "`lidcflow doctor --full` shows whether Keras starts")
    if fault := load_fault(libraries):
        return fail(fault, WAY_OUT)
    tensorflow_version = next((version(name) for name in WHEELS if is_installed(name)), "of an unknown version")
    return ok(f"{version('keras')}, and the libraries of TensorFlow {tensorflow_version} load{_gpus()}; {NOT_STARTED}")


def started() -> Result:
    """Keras and its backend start; in a process of its own, for a wrong wheel ends it without a message."""
    try:
        done = _run([sys.executable, "-P", "-c", START_PROGRAM], {**ALWAYS, **os.environ})
    except subprocess.TimeoutExpired:
        return fail(f"did not start within {LIMIT_S:.0f} s", WAY_OUT)
    if done.returncode:
        return fail(f"{_end_of(done.returncode)}: {_last_line(done.stderr)}", WAY_OUT)
    return ok(_last_line(done.stdout))


def package_folder(name: str) -> Path | None:
    """Return the folder of an installed package without importing the package, or None."""
    spec = find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None


def misfits(names: Iterable[str]) -> Iterator[str]:
    """Yield a sentence for each package at a version that lidcflow or the package itself does not work with.

    Parameters
    ----------
    names : iterable of str
        Distributions; one that is not installed is passed over.
    """
    asked = [Requirement(text) for text in requires("lidcflow") or []]
    for name in filter(is_installed, names):
        for requirement in (one for one in asked if one.name == name):
            requirement.marker = None  # of the extra that brings it
            yield from filter(None, [misfit(requirement)])
        yield from filter(None, (misfit(Requirement(text)) for text in requires(name) or []))


def is_installed(name: str) -> bool:
    """Return whether a distribution is installed."""
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def load_fault(libraries: Iterable[Path]) -> str | None:
    """Return why shared libraries can't be loaded, or None.

    They are loaded in a process of its own, which a library for another processor would end: TensorFlow's check the
    processor when they are loaded.
    """
    try:
        done = _run([sys.executable, "-I", "-S", "-c", LOAD_PROGRAM, *map(str, libraries)], os.environ)
    except subprocess.TimeoutExpired:
        return f"TensorFlow's libraries did not load within {LIMIT_S:.0f} s"
    if done.returncode == 0:
        return None
    return f"TensorFlow's libraries must load, got {_end_of(done.returncode)}: {_last_line(done.stderr)}"


def _run(command: list[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, env=dict(environment), check=False)


def _end_of(returncode: int) -> str:
    return f"exit code {returncode}" if returncode >= 0 else signal.Signals(-returncode).name


def _gpus() -> str:
    count = len(list(DRIVER_GPUS.iterdir())) if DRIVER_GPUS.is_dir() else 0
    return f", NVIDIA's driver lists {count} GPU{'s' * (count > 1)}" if count else ""


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no output"])[-1]
