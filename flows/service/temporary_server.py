"""The Prefect server that a command starts for itself, behind the same checks as that of `lidcflow up`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import get_current_settings

_OWN_FOLDER = str(Path(__file__).parents[2])
"""Without it uvicorn imports from the working folder first, where there may be another package called flows."""

_APPLICATION = "flows.service.prefect_app:temporary"
_AS_PREFECT_STARTS_IT = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}


class TemporaryServer(SubprocessASGIServer):
    """Prefect's own temporary server, with `flows.service.prefect_app.temporary` as its application.

    Prefect finds this one wherever it would start one itself: it keeps one for each port.
    """

    def _run_uvicorn_command(self) -> subprocess.Popen[Any]:
        listening = ("--host", "127.0.0.1", "--port", str(self.port), "--log-level", "error", "--lifespan", "on")
        settings = get_current_settings().to_environment_variables(exclude_unset=True)
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "uvicorn", "--app-dir", _OWN_FOLDER, "--factory", _APPLICATION, *listening],
            env={**os.environ, **_AS_PREFECT_STARTS_IT, **settings},
        )
