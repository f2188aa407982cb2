"""Answers of a Dask scheduler over HTTP to its autoscaler, named in ``distributed.scheduler.http.routes``.

Dask's own `distributed.http.scheduler.api` retires workers too, for whoever can reach the port, and any of them: it
would take a GPU's worker away when too many preprocess. This answers how many workers are wanted, and nothing else.
"""

from __future__ import annotations

from typing import Any

from distributed.http.scheduler.api import AdaptiveTargetHandler

routes: list[tuple[str, type[AdaptiveTargetHandler], dict[str, Any]]] = [
    ("/api/v1/adaptive_target", AdaptiveTargetHandler, {})
]
