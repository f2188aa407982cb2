"""Keras, imported here first: threads bounded and start-up chatter off before a backend starts.

TensorFlow reads its thread counts once, when it starts, and ignores OMP_NUM_THREADS; a worker that
was given one core would start a thread for every core of the machine. So would JAX and OpenVINO.
"""

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

CHATTER = (b"absl::InitializeLog()", b"oneDNN custom operations are on")
"""Lines that TensorFlow 2.21 writes to the error stream at every log level."""


@contextmanager
def without_chatter() -> Iterator[None]:
    """Hold the error stream back and let go of everything but `CHATTER` in the end."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            held.seek(0)
            os.write(2, b"".join(line for line in held if not any(words in line for words in CHATTER)))


def threads() -> int | None:
    """Return how many threads this process may compute with; None: as many as there are cores."""
    granted = os.environ.get("TF_NUM_INTRAOP_THREADS") or os.environ.get("OMP_NUM_THREADS")
    return int(granted.partition(",")[0]) if granted else None  # OpenMP takes one number for each level


# TensorFlow reads its thread counts once, when it starts, and ignores OMP_NUM_THREADS.
if granted := threads():
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(granted))
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", str(granted))
    os.environ.setdefault("NPROC", str(granted))  # the threads of XLA, which JAX computes with
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
logging.getLogger("tensorflow").setLevel(logging.ERROR)  # each head is traced once, which it warns of
with without_chatter():
    import keras

COMPILED = keras.backend.backend() == "jax"
"""Whether networks go through XLA: JAX is slow without, and TensorFlow on a CPU with it, for seconds at the start."""

FEW_STEPS = 4
"""Steps that take longer to trace than to compute: a network of our own is traced in 5 to 8 s, and a step in less than
2 s without."""


def is_run_eagerly(steps: int) -> bool:
    """Return whether a training is so short that its steps run eagerly, without tracing one first."""
    return steps <= FEW_STEPS and keras.backend.backend() == "tensorflow"


@contextmanager
def under_policy(policy: str) -> Iterator[None]:
    """Make the layers of Keras' own networks, which take no dtype, under a policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


__all__ = ["COMPILED", "is_run_eagerly", "keras", "threads", "under_policy"]
