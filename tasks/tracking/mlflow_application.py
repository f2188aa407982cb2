"""MLflow's server as an application in this process, so that a check can stand in front of it.

``mlflow server`` lets every page of this machine in, whatever its port, and starts MLflow twice: once for the command
and once for the application.
"""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING

import uvicorn  # noqa: F401, before mlflow.server: it sets up its own checks only where a server has been imported
from mlflow.server import constants
from mlflow.server.fastapi_app import app
from mlflow.server.handlers import initialize_backend_stores
from starlette.responses import PlainTextResponse

from tasks.tracking.mlflow_page import quiet_page

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

ASSISTANT = "/mlflow/assistant"
"""Path of the pages with which anyone who reaches the server can let a language model run commands on this machine."""


def server_application(database: str, artifacts: str) -> ASGIApp:
    """Return the application that ``mlflow server`` serves, on a database that is brought up to date first.

    Its assistant is left out, and its page shows no panel of it.

    Parameters
    ----------
    database : str
        URL of the database of runs and registry.
    artifacts : str
        Folder or URL below which artifacts are kept, and from which the server hands them out.
    """
    os.environ.update(
        {
            constants.BACKEND_STORE_URI_ENV_VAR: database,
            constants.REGISTRY_STORE_URI_ENV_VAR: database,
            constants.ARTIFACT_ROOT_ENV_VAR: artifacts,
            constants.ARTIFACTS_DESTINATION_ENV_VAR: artifacts,
            constants.SERVE_ARTIFACTS_ENV_VAR: "true",
            "_MLFLOW_SERVER_BOOT_ID": uuid.uuid4().hex,
            "_MLFLOW_IN_JOB_EXECUTOR": "false",
            "_MLFLOW_SGI_NAME": "uvicorn",
        }
    )
    initialize_backend_stores(database, database, artifacts)
    return quiet_page(_without_assistant(app))


def _without_assistant(app: ASGIApp) -> ASGIApp:
    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        left_out = scope["type"] == "http" and ASSISTANT in scope["path"]
        answer = PlainTextResponse("The assistant is not served.\n", 404) if left_out else app
        await answer(scope, receive, send)

    return answering
