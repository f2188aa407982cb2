"""The process environment that Prefect, MLflow and Keras read when they are imported."""

import os
from pathlib import Path

from flows.proxies import bypass_proxies, warn_of_ignored
from lidcflow.config import Config
from lidcflow.errors import ResourceError

ALWAYS = {
    "DO_NOT_TRACK": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
    "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
    "PREFECT_SERVER_EPHEMERAL_ENABLED": "true",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_DISABLE_AGENT_HINT": "true",
    "MLFLOW_ENABLE_REMOTE_ASSISTANT": "false",
    "MLFLOW_ENABLE_ASSISTANT_SANDBOX": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # standard output is for reports
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "GIT_PYTHON_REFRESH": "quiet",
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "GRPC_VERBOSITY": "ERROR",
    "MPLBACKEND": "Agg",
}
"""Variables that are set whatever the configuration says."""

WHOLE_CONFIG = "LIDCFLOW_WHOLE_CONFIG"
"""Variable with a whole configuration as JSON, in place of file and variables: what `lidcflow up` hands its processes.

Not an argument: the catalog's URL may hold a password, and every user of a machine can read arguments.
"""

READERS = "LIDCFLOW_READERS"
"""Variable with the address of a cluster that keeps the models loaded."""

_QUIET = {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL", "PREFECT_INTERNAL_LOGGING_LEVEL": "CRITICAL"}
"""Keeps the terminal for the progress bars; the run's page in Prefect still gets every line."""


def prepare(config: Config, *, quiet: bool = True) -> None:
    """Set what Prefect, MLflow and Keras read from the environment; a variable that is set already stays.

    Call it before any of them is imported. With no ``PREFECT_API_URL``, flows run against a temporary server
    whose database lies in the workspace, where `lidcflow up` finds the runs again.
    Servers of this machine are reached without a web proxy.

    Parameters
    ----------
    config : Config
        Its workspace becomes the home of Prefect.
    quiet : bool
        Keep Prefect's log lines off the terminal; a service that runs for days wants them there.

    Raises
    ------
    ResourceError
        If the workspace can't be written.

    Examples
    --------
    >>> variables(Path("prefect"), quiet=False)["DO_NOT_TRACK"]
    'true'
    """
    for name, value in variables(config.prefect_home, quiet=quiet).items():
        os.environ.setdefault(name, value)
    warn_of_ignored(bypass_proxies(os.environ, config))
    _make_folder(Path(os.environ["PREFECT_HOME"]))


def variables(prefect_home: Path, *, quiet: bool = True) -> dict[str, str]:
    """Return the variables that `prepare` sets, for a process that is started with them."""
    return {"PREFECT_HOME": str(prefect_home), **ALWAYS, **(_QUIET if quiet else {})}


def _make_folder(folder: Path) -> None:
    """Make Prefect's home with its parents: it makes only the last folder itself, and can't start without it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResourceError(
            f"workspace {folder.parent}: must be writable, got {error.strerror}; choose another one with --workspace"
        ) from None
