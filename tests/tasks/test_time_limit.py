import signal
import subprocess
import sys

import pytest

from tasks.time_limit import within

TWO_THREADS = """
import threading, time
from tasks.time_limit import within
slow = threading.Thread(target=within, args=(0.3, time.sleep, 60))
slow.start()
for _ in range(1000):
    within(30.0, time.sleep, 0.01)
"""


def test_what_returns_in_time_leaves_no_timer_behind():
    assert within(60.0, abs, -1) == 1
    with pytest.raises(TypeError):
        within(60.0, abs, "x")

    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_quick_neighbour_in_the_same_process_does_not_push_a_deadline_back():
    done = subprocess.run([sys.executable, "-c", TWO_THREADS], check=False)

    assert done.returncode == -signal.SIGALRM
