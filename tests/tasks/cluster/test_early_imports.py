"""Workers import what they will need while they wait."""

import gc
import sys
import time

from lidcflow.config import ClusterConfig
from tasks.cluster.connect import connected
from tasks.cluster.early_imports import import_modules, importing
from tasks.cluster.open import open_cluster

WITHIN_S = 60.0


def imported(name):
    return name in sys.modules


def wait_until_every_worker_has(address, module):
    deadline_s = time.monotonic() + WITHIN_S
    with connected(address) as client:
        while not all(found := client.run(imported, module).values()) and time.monotonic() < deadline_s:
            time.sleep(0.1)
    return list(found)


def test_every_worker_imports_while_no_task_has_come():
    with (
        open_cluster(ClusterConfig(workers=2), "train") as cluster,
        importing(cluster.address, ["wave", "colorsys"]),
    ):
        assert wait_until_every_worker_has(cluster.address, "colorsys") == [True, True]


def test_a_module_that_cannot_be_imported_ends_nothing():
    with open_cluster(ClusterConfig(workers=1), "train") as cluster:
        with importing(cluster.address, ["colorsys", "no_such_module"]):
            assert wait_until_every_worker_has(cluster.address, "colorsys") == [True]

        with connected(cluster.address) as client:
            assert client.submit(len, "abc").result(timeout=WITHIN_S) == 3


def test_a_process_that_has_the_modules_keeps_no_garbage_for_good():
    before = gc.get_freeze_count()

    import_modules(["sys", "gc"])

    assert gc.get_freeze_count() == before
