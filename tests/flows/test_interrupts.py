"""A Ctrl-C is never lost."""

import subprocess
import sys

import pytest

COLLECTION = """
import gc, signal, time
from flows.interrupts import keeping_interrupts

signal.signal(signal.SIGINT, signal.default_int_handler)

def interrupt(phase, _):
    gc.callbacks.remove(interrupt)
    signal.raise_signal(signal.SIGINT)

with keeping_interrupts():
    gc.callbacks.append(interrupt)
    gc.collect()
    print("went on", flush=True)
    time.sleep(60)
"""

FINALIZER = """
import signal, threading
from flows.interrupts import keeping_interrupts

signal.signal(signal.SIGINT, signal.default_int_handler)

class Interrupts:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

with keeping_interrupts():
    Interrupts()
    print("went on", flush=True)
    threading.Event().wait(60)
"""

OTHER_ERROR = """
from flows.interrupts import keeping_interrupts

class Fails:
    def __del__(self):
        raise ValueError("told as ever")

with keeping_interrupts():
    Fails()
"""


@pytest.mark.parametrize("program", [COLLECTION, FINALIZER])
def test_an_interrupt_where_python_ignores_exceptions_is_raised_again(program):
    ran = run(program)

    assert ran.stdout == "went on\n"
    assert ran.stderr.endswith("KeyboardInterrupt\n")
    assert "Exception ignored" not in ran.stderr
    assert ran.returncode != 0


def test_other_errors_there_are_reported_as_ever():
    ran = run(OTHER_ERROR)

    assert ran.returncode == 0
    assert ran.stderr.endswith("ValueError: told as ever\n")


def run(program):
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
