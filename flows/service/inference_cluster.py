"""A cluster that keeps the models loaded between inferences: ``python -P -m flows.service.inference_cluster``.

Its configuration comes in a variable.
"""

import os
import signal
import sys

from flows.environment import WHOLE_CONFIG
from lidcflow.config import Config
from tasks.cluster.connect import run_on_workers
from tasks.cluster.open import open_cluster
from tasks.warm_up import warm_up


def main(config: Config) -> None:
    """Keep the cluster until SIGTERM; its workers load at once what the first series would wait for."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    port = config.serve.readers_port or 0
    with open_cluster(config.cluster, "read", scratch=config.scratch_path, port=port) as cluster:
        run_on_workers(cluster.address, warm_up, config)
        signal.pause()


if __name__ == "__main__":
    main(Config.model_validate_json(os.environ[WHOLE_CONFIG]))
