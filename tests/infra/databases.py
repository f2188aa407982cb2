"""A real PostgreSQL with the roles of infra/postgres/roles.sh, run as infra/compose.yaml says."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.infra.compose import INFRA, services

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
OWNER = "postgres"
HOST = "127.0.0.1"
WITHIN_S = 60.0


@dataclass(frozen=True)
class Databases:
    """A server that answers."""

    port: int
    secrets: Path

    def run(self, program: str | Path, *arguments: str, role: str = OWNER, data: bytes = b"") -> bytes:
        """Run one of PostgreSQL's programs, or a script of infra/postgres, and return what it says.

        Raises
        ------
        subprocess.CalledProcessError
            If it fails.
        """
        name = f"{role}_db_password" if role != OWNER else f"{OWNER}_password"
        own = {
            "PATH": f"{BINARIES[-1]}:/usr/bin:/bin",
            "PGHOST": HOST,
            "PGPORT": str(self.port),
            "PGUSER": role,
            "PGPASSWORD": (self.secrets / name).read_text().strip(),
            "SECRETS_FOLDER": str(self.secrets),
        }
        done = subprocess.run([program, *arguments], env=own, input=data, capture_output=True, check=True)
        return done.stdout

    def sql(self, text: str, *, database: str, role: str = OWNER) -> str:
        """Run SQL and return bare rows."""
        arguments = ["-X", "-v", "ON_ERROR_STOP=1", "-q", "-A", "-t", "-d", database, "-c", text]
        return self.run("psql", *arguments, role=role).decode().strip()


def is_installed() -> bool:
    """Return whether there is a PostgreSQL on this machine that reads its environment, and a user to run it as."""
    known = bool(BINARIES) and int(BINARIES[-1].parent.name) >= 15
    return known and (os.geteuid() != 0 or OWNER in {user.pw_name for user in pwd.getpwall()})


@contextmanager
def databases(secrets: Path) -> Iterator[Databases]:
    """Run the server of infra/compose.yaml for as long as the block runs."""
    folder = Path(tempfile.mkdtemp(prefix="lidcflow-postgres-"))  # pytest's own folders are for their owner alone
    try:
        _initialize(folder, secrets)
        with socket.create_server((HOST, 0)) as probe:
            port = int(probe.getsockname()[1])
        with _running(folder, port) as process:
            running = Databases(port, secrets)
            _wait(running, process)
            running.run(INFRA / "postgres/roles.sh")
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _initialize(folder: Path, secrets: Path) -> None:
    password = folder / "password"
    password.write_text((secrets / "postgres_password").read_text())
    if os.geteuid() == 0:
        for path in (folder, password):
            shutil.chown(path, OWNER, OWNER)
    options = services()["postgres"].environment["POSTGRES_INITDB_ARGS"].split()
    command = [BINARIES[-1] / "initdb", "-D", folder / "data", "-U", OWNER, f"--pwfile={password}", "--no-sync"]
    subprocess.run([*_as_owner(), *command, *options], cwd=folder, check=True, capture_output=True)


@contextmanager
def _running(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    program, *options = services()["postgres"].argv
    here = ["-D", folder / "data", "-h", HOST, "-p", str(port), "-k", folder]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*_as_owner(), BINARIES[-1] / program, *options, *here], cwd=folder, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(WITHIN_S)


def _wait(running: Databases, process: subprocess.Popen[bytes]) -> None:
    deadline_s = time.monotonic() + WITHIN_S
    while not _answers(running):
        assert process.poll() is None, "PostgreSQL must keep running"
        assert time.monotonic() < deadline_s, f"PostgreSQL must answer within {WITHIN_S:.0f} s"
        time.sleep(0.2)


def _answers(running: Databases) -> bool:
    try:
        running.sql("SELECT 1", database=OWNER)
    except subprocess.CalledProcessError:
        return False
    return True


def _as_owner() -> list[str]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid():
        return []
    return ["setpriv", f"--reuid={OWNER}", f"--regid={OWNER}", "--clear-groups"]
