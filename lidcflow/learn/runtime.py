"""Keras, imported here first: threads bounded and start-up chatter off before a backend starts.

TensorFlow reads its thread counts once, when it starts, and ignores OMP_NUM_THREADS; a worker that
was given one core would start a thread for every core of the machine.
"""

import os

os.environ.setdefault("TF_NUM_INTRAOP_THREADS", os.environ.get("OMP_NUM_THREADS", "0"))
os.environ.setdefault("TF_NUM_INTEROP_THREADS", os.environ.get("OMP_NUM_THREADS", "0"))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras

__all__ = ["keras"]
