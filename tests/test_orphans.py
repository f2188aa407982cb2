"""The workers of a pool end with the process that started them, also when that is killed."""

import subprocess
import sys

import psutil

POOL = """
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from lidcflow.orphans import end_with_parent

if __name__ == "__main__":
    with ProcessPoolExecutor(2, mp_context=get_context("spawn"), initializer=end_with_parent) as pool:
        for job in [pool.submit(time.sleep, 0.5) for _ in range(2)]:
            job.result()
        print("ready", flush=True)
        time.sleep(600)
"""


def test_workers_that_wait_for_work_end_with_a_killed_parent(tmp_path):
    (tmp_path / "pool.py").write_text(POOL)
    with subprocess.Popen([sys.executable, tmp_path / "pool.py"], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout.readline() == "ready\n"
        workers = psutil.Process(parent.pid).children(recursive=True)

        parent.kill()

    assert len(workers) >= 2
    assert psutil.wait_procs(workers, timeout=60)[1] == []
