"""Keras, imported here first: threads bounded and start-up chatter off before a backend starts.

TensorFlow reads its thread counts once, when it starts, and ignores OMP_NUM_THREADS; a worker that
was given one core would start a thread for every core of the machine.
"""

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

CHATTER = (b"absl::InitializeLog()", b"oneDNN custom operations are on")
"""Lines that TensorFlow 2.21 writes to the error stream whatever its log level says."""


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


if threads := os.environ.get("OMP_NUM_THREADS"):
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", threads)
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", threads)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
logging.getLogger("tensorflow").setLevel(logging.ERROR)  # each head is traced once, which it warns of
with without_chatter():
    import keras

__all__ = ["keras"]
