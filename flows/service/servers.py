"""Addresses, ports, commands and environments of the servers and the worker."""

import errno
import os
import socket
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from flows.environment import READERS, WHOLE_CONFIG, variables
from flows.proxies import bypass_proxies
from flows.service.fork_client import FORK_SERVER
from flows.service.leftovers import WORKSPACE_MARK
from flows.service.password import CLIENT_VARIABLE, SERVER_VARIABLE, ensure_password
from flows.service.prefect_database import retention_settings
from flows.service.processes import ServiceProcess
from lidcflow.config import Config, ServeConfig
from lidcflow.config.cluster import LOCAL
from lidcflow.errors import ResourceError

WORK_POOL = "lidcflow"
ASK_EVERY, ASK_EVERY_S = "PREFECT_WORKER_QUERY_SECONDS", "1"
"""Seconds between the worker's requests for runs: a study waits half as long for its run. Prefect's default is 10;
asking every second takes 2% of a core."""

SOCKET = "runs"
LONGEST_SOCKET_PATH = 100
"""Bytes; Linux takes 107 and macOS 103."""

READERS_HOST = "127.0.0.1"
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
"""Addresses to listen on that nobody can connect to, and what a process of this machine connects to instead."""


@dataclass(frozen=True)
class Addresses:
    """URLs of the servers, as this machine reaches them."""

    prefect: str
    mlflow: str
    reports: str

    @property
    def prefect_api(self) -> str:
        """Address of Prefect's API."""
        return f"{self.prefect}/api"


def addresses(config: Config) -> Addresses:
    """Return where the servers of a configuration answer; MLflow's may be a tracking server elsewhere."""
    reached = ANYWHERE.get(config.serve.host, config.serve.host)
    host = f"[{reached}]" if ":" in reached else reached
    remote = has_remote_tracking(config.tracking_uri)
    return Addresses(
        prefect=f"http://{host}:{config.serve.prefect_port}",
        mlflow=config.tracking_uri if remote else f"http://{host}:{config.serve.mlflow_port}",
        reports=f"http://{host}:{config.serve.reports_port}",
    )


def has_remote_tracking(tracking_uri: str) -> bool:
    """Return whether MLflow's server is configured and runs elsewhere."""
    return tracking_uri.startswith(("http://", "https://"))


def check_ports(config: Config) -> None:
    """Make sure that every server can listen before any is started.

    Raises
    ------
    ResourceError
        If a port is in use, the host is not of this machine, or two servers have the same port.
    """
    ports = {"Prefect server": "prefect_port", "MLflow server": "mlflow_port", "reports server": "reports_port"}
    if has_remote_tracking(config.tracking_uri):
        del ports["MLflow server"]
    chosen = {server: (f"serve.{key}", getattr(config.serve, key)) for server, key in ports.items()}
    for (one, port), (other, same) in combinations(chosen.values(), 2):
        if port == same:
            raise ResourceError(f"{one} and {other} must differ, got {port} twice; change one")
    if readers(config) and config.serve.readers_port:
        check_port(READERS_HOST, config.serve.readers_port, "readers", "serve.readers_port")
    for server, (key, port) in chosen.items():
        check_port(config.serve.host, port, server, key)


def check_port(host: str, port: int, server: str, key: str) -> None:
    """Make sure that a server can listen; `key` is where its port is configured.

    Raises
    ------
    ResourceError
        If it can't.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen()
    except OSError as error:
        in_use = error.errno == errno.EADDRINUSE
        way_out = f"stop what listens there, or set {key} to another port" if in_use else f"check serve.host and {key}"
        raise ResourceError(
            f"port {port} of {host} must be free for the {server}, got {error.strerror!r}; {way_out} in lidcflow.toml"
        ) from None


def prefect_server(config: Config) -> ServiceProcess:
    """Return the Prefect server, with its database in the workspace; its pages work under any name of the machine."""
    guarding = {
        SERVER_VARIABLE: ensure_password(config.prefect_home),
        "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "true",
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": addresses(config).prefect,
        "PREFECT_SERVER_UI_API_URL": "/api",
    }
    return ServiceProcess(
        name="Prefect server",
        arguments=("-m", "flows.service.prefect_app", *_listening(config.serve, config.serve.prefect_port)),
        environment=retention_settings(config.retention.prefect_days) | process_environment(config) | guarding,
        log=log_folder(config.workspace) / "prefect-server.log",
        health_url=f"{addresses(config).prefect_api}/health",
    )


def mlflow_server(config: Config) -> ServiceProcess | None:
    """Return the MLflow server on the tracking database, or None when tracking is served elsewhere.

    Its job runner stays off: it starts eight processes, for features of language models.
    """
    if has_remote_tracking(config.tracking_uri):
        return None
    settings = {
        "MLFLOW_BACKEND_STORE_URI": config.tracking_uri,
        "MLFLOW_DEFAULT_ARTIFACT_ROOT": str(config.mlflow_artifacts),
        "MLFLOW_ARTIFACTS_DESTINATION": str(config.mlflow_artifacts),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_SERVER_ALLOWED_HOSTS": "*",  # `SameOrigin` stands before it; MLflow's patterns let 10.evil.example in
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": addresses(config).mlflow,
        "MLFLOW_SERVER_X_FRAME_OPTIONS": "SAMEORIGIN",
    }
    config.mlflow_artifacts.mkdir(parents=True, exist_ok=True)
    return ServiceProcess(
        name="MLflow server",
        arguments=("-m", "flows.service.mlflow_app", *_listening(config.serve, config.serve.mlflow_port)),
        environment=process_environment(config) | settings,
        log=log_folder(config.workspace) / "mlflow-server.log",
        health_url=f"{addresses(config).mlflow}/health",
    )


def reports_server(config: Config) -> ServiceProcess:
    """Return the server of the reports; its configuration travels in its environment."""
    return ServiceProcess(
        name="reports server",
        arguments=("-m", "flows.reports.server"),
        environment=process_environment(config),
        log=log_folder(config.workspace) / "reports-server.log",
        health_url=f"{addresses(config).reports}/health",
    )


def fork_server(config: Config, folder: Path) -> ServiceProcess | None:
    """Return the process that runs are forked from, with its socket in a folder that only this user can enter.

    None where the path is too long for a socket: each run is a process of its own then.
    """
    if len(os.fsencode(folder / SOCKET)) > LONGEST_SOCKET_PATH:
        return None
    return ServiceProcess(
        name="fork server",
        arguments=("-m", "flows.service.flow_forks", str(folder / SOCKET)),
        environment=client_environment(config) | readers_address(config),
        log=log_folder(config.workspace) / "fork-server.log",
    )


def worker(config: Config, folder: Path) -> ServiceProcess:
    """Return the worker that runs scheduled flows, as forks of the `fork_server` of a folder.

    It is killed at once at a stop: asked politely it waits for its flow runs, and takes new ones meanwhile.
    The flow runs themselves get the grace period.
    """
    return ServiceProcess(
        name="worker",
        arguments=("-m", "flows.service.worker", WORK_POOL),
        environment={ASK_EVERY: ASK_EVERY_S, FORK_SERVER: str(folder / SOCKET)}
        | client_environment(config)
        | readers_address(config),
        log=log_folder(config.workspace) / "worker.log",
        stop_signal="SIGKILL",
    )


def poller(config: Config) -> ServiceProcess | None:
    """Return the process that polls the inbox and starts its runs, or None where there is no inbox."""
    if not config.inboxes:
        return None
    return ServiceProcess(
        name="inbox poller",
        arguments=("-m", "flows.service.poller"),
        environment=client_environment(config),
        log=log_folder(config.workspace) / "inbox-poller.log",
    )


def readers(config: Config) -> ServiceProcess | None:
    """Return the cluster that keeps the models loaded, or None when each inference starts its own."""
    if config.serve.readers_port is None or config.cluster.pool("train").place != LOCAL:
        return None
    return ServiceProcess(
        name="readers",
        arguments=("-m", "flows.service.inference_cluster"),
        environment=process_environment(config),
        log=log_folder(config.workspace) / "readers.log",
    )


def readers_address(config: Config) -> dict[str, str]:
    """Return the variable with the address of the cluster of `readers`, if there is one."""
    if readers(config) is None:
        return {}
    protocol = "tls" if config.cluster.tls else "tcp"
    return {READERS: f"{protocol}://{READERS_HOST}:{config.serve.readers_port}"}


def _listening(config: ServeConfig, port: int) -> tuple[str, ...]:
    names = [argument for name in config.hosts for argument in ("--name", name)]
    return ("--host", config.host, "--port", str(port), *names)


def log_folder(workspace: Path) -> Path:
    """Return the folder of the services' logs."""
    return workspace.absolute() / "logs"


def process_environment(config: Config) -> dict[str, str]:
    """Return the environment of everything that is started: the user's own, with configuration and Prefect.

    Only what needs the password of the Prefect server gets it.
    """
    settings = {**variables(config.prefect_home, quiet=False), **os.environ}
    settings["PREFECT_HOME"] = str(config.prefect_home)
    settings["PREFECT_API_URL"] = addresses(config).prefect_api
    settings["NO_COLOR"] = "1"
    bypass_proxies(settings, config)
    settings[WHOLE_CONFIG] = config.model_dump_json()
    settings[WORKSPACE_MARK] = str(config.workspace.absolute())
    return {name: value for name, value in settings.items() if name not in (CLIENT_VARIABLE, SERVER_VARIABLE)}


def client_environment(config: Config) -> dict[str, str]:
    """Return the environment of what asks the Prefect server, or starts what does."""
    return process_environment(config) | {CLIENT_VARIABLE: ensure_password(config.prefect_home)}
