"""Imported by the process that workers are forked from: imports what the first task of a training needs."""

import contextlib
import gc
import os
import sys

from tasks.cluster.early_imports import TRAINERS, import_modules

started_by = os.getppid()
for module in ("distributed", *TRAINERS):
    with contextlib.suppress(Exception):  # the task that needs it fails with the same error, and says so
        import_modules([module])
    if os.getppid() != started_by:  # it has ended, and nobody will ask for a fork
        sys.exit()
gc.collect()
gc.freeze()  # a search for garbage would copy the memory that forks share
