"""The Prefect server that a command starts for itself, with a password that ends with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from prefect.context import refresh_global_settings_context
from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import get_current_settings

from flows.service.password import CLIENT_VARIABLE, SERVER_VARIABLE, new_password

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


def choose_password() -> None:
    """Give this process, and what it starts, a password for its server; call it before the first client is made."""
    own = os.environ.get(SERVER_VARIABLE) or os.environ.get(CLIENT_VARIABLE) or new_password()
    os.environ[SERVER_VARIABLE] = os.environ[CLIENT_VARIABLE] = own
    refresh_global_settings_context()
