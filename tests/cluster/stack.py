"""All servers of infra/compose.yaml as plain processes, with their exact commands, each on a host of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from lidcflow.config import Config
from lidcflow.config.file import load_config
from tests.cluster.network import Network, network
from tests.cluster.postgres import BINARIES, Postgres
from tests.cluster.processes import Server, environment, keeper, listens
from tests.infra.compose import INFRA, Service, services

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent

JOBS = ("buckets", "accounts", "deploy")
WORKERS = ("cpu-worker-1", "cpu-worker-2", "train-worker")
HOSTS = ("postgres", "storage", "prefect", "mlflow", "scheduler", *WORKERS, "flows", "reports", "orthanc", "user")
HOSTS += JOBS
PORTS = {"prefect": 4200, "mlflow": 5000, "scheduler": 8786, "storage": 8333, "reports": 8765, "orthanc": 8042}
JOB_WITHIN_S = 600
KEY_OF_PATIENTS = bytes([*[0] * 31, 0x1B]).hex()
"""A fresh key may leave a split of so few patients without a class."""

SETTINGS = """
[preprocess]
slices = 20
size = 32
[split]
validation = 0.3
test = 0.2
[train]
sector_num = 5
epochs = 2
[delivery]
settle_s = 0
"""


@dataclass
class Stack:
    """The servers, and what they share.

    Parameters
    ----------
    folder : Path
        With a folder for each host, the secrets, the configuration, the archive and the workspace.
    net : Network
        The hosts.
    servers : dict
        By name of the host.
    postgres : Postgres
        The database of all.
    """

    folder: Path
    net: Network
    postgres: Postgres
    servers: dict[str, Server] = field(default_factory=dict)

    @property
    def workspace(self) -> Path:
        """What flows and the training worker share."""
        return self.folder / "workspace"

    @property
    def archive(self) -> Path:
        """Series to train on."""
        return self.folder / "archive"

    @property
    def inbox(self) -> Path:
        """Series to read."""
        return self.folder / "inbox"

    @property
    def config_file(self) -> Path:
        """The configuration of all that work."""
        return self.folder / "lidcflow.toml"

    @property
    def config(self) -> Config:
        """The same for this process, which knows hosts by their addresses; secrets are the stack's."""
        text = self.config_file.read_text()
        for host, port in PORTS.items():
            text = text.replace(f"//{host}:{port}", f"//{self.net.addresses[host]}:{port}")
        file = self.folder / "here.toml"
        file.write_text(text)
        catalog = self.secret("lidcflow_catalog_url").replace("@postgres:", f"@{self.postgres.host}:")
        return load_config(file, environ={}, catalog_url=catalog)

    def url(self, host: str) -> str:
        """Return the address of a server as this process reaches it."""
        return f"http://{self.net.addresses[host]}:{PORTS[host]}"

    def secret(self, name: str) -> str:
        """Return a secret."""
        return (self.folder / "secrets" / name).read_text().strip()

    def prefect(self) -> httpx.Client:
        """Return a client of Prefect's interface, as a user has one."""
        user, _, password = self.secret("prefect_auth").partition(":")
        return httpx.Client(base_url=f"{self.url('prefect')}/api", auth=(user, password), timeout=30, trust_env=False)

    def order(self, **fault: Any) -> list[str]:
        """Order a fault of the object storage, or its end; return what it was asked so far."""
        body = json.dumps(fault).encode()
        request = urllib.request.Request(f"{self.url('storage')}/-/orders", data=body, method="POST")
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return list(json.load(answer))

    def run(
        self,
        *command: str,
        host: str = "user",
        limit_s: float = JOB_WITHIN_S,
        codes: Sequence[int] = (0,),
        environ: Mapping[str, str] | None = None,
    ) -> str:
        """Run a command of a user on a host, and return all that it says."""
        with self.running(*command, host=host, environ=environ) as process:
            said, _ = process.communicate(timeout=limit_s)
        assert process.returncode in codes, f"{command}: exit code {process.returncode}\n{said}"
        return str(said)

    @contextmanager
    def running(
        self, *command: str, host: str = "user", environ: Mapping[str, str] | None = None
    ) -> Iterator[subprocess.Popen[str]]:
        """Start a command of a user on a host; it is gone, with all that it started, when the block ends."""
        process = subprocess.Popen(
            [*self.net.inside(host), "setpriv", "--pdeathsig", "KILL", str(INFRA / "entrypoint.sh"), *command],
            cwd=self._room(host),
            env=self._environment(self._here(services()["deploy"], host)) | dict(environ or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()

    def start(self, *hosts: str) -> None:
        """Start servers of the file, all at once, and wait until they answer."""
        for host in hosts:
            if host not in self.servers:
                self.servers[host] = self._server(host)
            self.servers[host].start(wait=False)
        for host in hosts:
            self.servers[host].wait()

    def cut_power(self) -> None:
        """Kill every process at once, all but the storage: the one of the tests keeps its objects in memory."""
        for server in self._losing_power():
            server.wanted = False
        for server in self._losing_power():
            server.kill()

    def restore_power(self) -> None:
        """Start again what ran, the database first."""
        self.servers["postgres"].start()
        for server in self._losing_power():
            if not server.is_running():
                server.start(wait=False)
        for server in self._losing_power():
            server.wait()

    def _losing_power(self) -> list[Server]:
        return [server for name, server in self.servers.items() if name != "storage"]

    def do(self, job: str) -> str:
        """Do a job of the file, one that ends by itself."""
        service = self._here(services()[job], job)
        return self.run(*service.argv[1:], host=job, environ=self._environment(service))

    def deploy(self) -> None:
        """Deploy as a user does who has Prefect's own commands alone."""
        self.run("prefect", "work-pool", "create", "lidcflow", "--type", "process")
        self.run("prefect", "work-queue", "create", "training", "--pool", "lidcflow", "--limit", "1")
        self.run(
            "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(ROOT / "deployments" / "prefect.yaml")
        )

    def is_checked(self, host: str) -> bool:
        """Return whether the file says how to find out whether a service is healthy, and its program is here."""
        return host != "storage" and bool(services()[_service_of(host)].health)

    def health(self, host: str) -> tuple[int, str]:
        """Do what the file says to find out whether a service is healthy."""
        service = self._here(services()[_service_of(host)], host)
        done = subprocess.run(
            [*self.net.inside(host), *service.health],
            env=self._environment(service),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def logs(self) -> str:
        """Return the end of every log."""
        return "\n".join(f"--- {name}\n{server.tail(1500)}" for name, server in self.servers.items())

    def _server(self, host: str) -> Server:
        service = self._here(services()[_service_of(host)], host)
        hidden = [self.workspace] if host.startswith("cpu-worker") else []
        return Server(
            name=host,
            command=service.argv,
            environment=self._environment(service),
            folder=self._room(host),
            answers=lambda: self._answers(host),
            wrapper=self.net.inside(host, hidden=hidden),
        )

    def _answers(self, host: str) -> bool:
        if host in PORTS:
            return listens(self.net.addresses[host], PORTS[host])
        return True

    def _here(self, service: Service, host: str) -> Service:
        """Put places of this machine for those of a container; names and ports of hosts stay as they are."""
        places = {
            "/etc/lidcflow/lidcflow.toml": str(self.config_file),
            "/workspace": str(self.workspace),
            "/data/archive": str(self.archive),
            "/data/inbox": str(self.inbox),
            "/etc/orthanc": str(self.folder / "orthanc"),
            "/tmp": str(self._room(host)),
        }
        return service.here(self.folder / "secrets", places)

    def _environment(self, service: Service) -> dict[str, str]:
        path = f"{BIN}:{os.environ['PATH']}"
        return environment(PATH=path, PYTHONPATH=str(ROOT)) | dict(service.environment)

    def _room(self, host: str) -> Path:
        room = self.folder / "hosts.d" / host
        room.mkdir(parents=True, exist_ok=True)
        return room


def _service_of(host: str) -> str:
    return host.rpartition("-")[0] if host[-1].isdigit() else host


@contextmanager
def stack(folder: Path) -> Iterator[Stack]:
    """Run the servers for as long as the block runs; the worker of flows waits for deployments, which tests make."""
    folder.chmod(0o755)
    with network(HOSTS, folder) as net, ExitStack() as ends:
        made = Stack(folder, net, _postgres(folder, net))
        ends.callback(lambda: [server.kill() for server in reversed(made.servers.values())])
        _prepare(made)
        _storage(made)
        made.servers["postgres"] = made.postgres.server
        made.start("postgres", "storage", "scheduler")
        _roles(made)
        made.do("buckets")
        made.start("prefect", "mlflow", *WORKERS)
        made.do("accounts")
        ends.enter_context(keeper(made.servers))
        yield made


def _prepare(made: Stack) -> None:
    secrets = made.folder / "secrets"
    secrets.mkdir()
    (secrets / "patient_key").write_text(KEY_OF_PATIENTS)
    subprocess.run([INFRA / "secrets.sh", secrets, made.folder / "authority"], check=True, capture_output=True)
    for place in (made.workspace, made.archive, made.inbox):
        place.mkdir()
    text = (INFRA / "lidcflow.toml").read_text() + SETTINGS
    for there, here in {
        "/run/secrets": secrets,
        "/workspace": made.workspace,
        "/data/archive": made.archive,
        "/data/inbox": made.inbox,
    }.items():
        text = text.replace(there, str(here))
    made.config_file.write_text(text)
    _prepare_orthanc(made)


def _prepare_orthanc(made: Stack) -> None:
    """Write what compose mounts; plug-ins lie in one folder here."""
    folder, database = made.folder / "orthanc", made.folder / "orthanc.db"
    folder.mkdir()
    database.mkdir()
    settings = json.loads((INFRA / "orthanc.json").read_text().replace("/var/lib/orthanc/db", str(database)))
    settings["Plugins"] = [folder for folder in settings["Plugins"] if Path(folder).is_dir()]
    (folder / "orthanc.json").write_text(json.dumps(settings))
    shutil.copy(made.folder / "secrets" / "orthanc_users.json", folder / "users.json")


def _postgres(folder: Path, net: Network) -> Postgres:
    room = folder / "postgres"
    room.mkdir()
    command = services()["postgres"].argv
    return Postgres(room, net.addresses["postgres"], 5432, command, net.inside("postgres"))


def _storage(made: Stack) -> None:
    """The one service that has no program here; a server of the tests takes its place, and faults to order."""
    command = [sys.executable, "-m", "tests.object_storage", "0.0.0.0", str(PORTS["storage"])]
    made.servers["storage"] = Server(
        name="storage",
        command=command,
        environment=environment(PYTHONPATH=str(ROOT)),
        folder=made._room("storage"),
        answers=lambda: made._answers("storage"),
        wrapper=made.net.inside("storage"),
    )


def _roles(made: Stack) -> None:
    """Do what PostgreSQL's image does with an empty volume."""
    where = {"PGHOST": made.postgres.host, "PGUSER": "postgres", "PGPASSWORD": made.postgres.password}
    programs = f"{BINARIES[-1]}:{os.environ['PATH']}"
    subprocess.run(
        [INFRA / "postgres" / "roles.sh"],
        env=environment(PATH=programs, SECRETS_FOLDER=str(made.folder / "secrets"), **where),
        check=True,
        timeout=JOB_WITHIN_S,
    )
