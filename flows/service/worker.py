"""The worker of `lidcflow up`, whose runs are forks of `flows.service.flow_forks`: ``-m flows.service.worker POOL``.

The command that stands for a fork is the worker's own: a work pool has workers elsewhere too, and Prefect's page makes
no form for a pool whose template names a command.
"""

from __future__ import annotations

import asyncio
import shlex
import socket
import sys
import warnings
from typing import Any

from prefect.workers.process import ProcessJobConfiguration, ProcessWorker

COMMAND = shlex.join([sys.executable, "-P", "-m", "flows.service.fork_client"])


class ForkedConfiguration(ProcessJobConfiguration):
    """What the worker starts for a run, whatever the pool, the deployment and the run say."""

    def prepare_for_flow_run(self, *arguments: Any, **named: Any) -> None:
        """Put the command in before Prefect would put in that of its engine."""
        self.command = COMMAND
        super().prepare_for_flow_run(*arguments, **named)


with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Prefect knows classes of workers by their type, and this one is of the same type

    class ForkingWorker(ProcessWorker):
        """Prefect's worker for processes, with a command of its own."""

        job_configuration = ForkedConfiguration


def main(pool: str) -> None:
    """Take the runs of a pool until the process is killed."""
    worker = ForkingWorker(work_pool_name=pool, name=f"lidcflow on {socket.gethostname()}")
    asyncio.run(worker.start())


if __name__ == "__main__":
    main(sys.argv[1])
