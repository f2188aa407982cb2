"""A real PostgreSQL on loopback, in a folder of its own, with a role and a database for each who uses it."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.processes import Server, environment, free_port

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
OWNER = "postgres"
WITHIN_S = 60.0


class Postgres:
    """A server that can be stopped, killed and started again; its data outlive that.

    Parameters
    ----------
    folder : Path
        Of its data, its socket and its log; a user other than root must be able to reach it.
    host, port : str and int
        Where it is reached.
    command : sequence of str
        What is run, with its exact options; where it listens stands in a file.
    wrapper : sequence of str
        What it runs under.
    """

    def __init__(
        self, folder: Path, host: str, port: int, command: Sequence[str] = (OWNER,), wrapper: Sequence[str] = ()
    ) -> None:
        self.folder, self.host, self.port = folder, host, port
        self.data, self.password = folder / "data", secrets.token_hex(8)
        self._initialize("*" if wrapper else host)
        program = [*_as_owner(), _program(command[0]), *command[1:]]
        where = environment(PGDATA=str(self.data))
        self.server = Server("postgres", program, where, folder, self.answers, wrapper)

    def _initialize(self, listens_on: str) -> None:
        secret = self.folder / "secret"
        secret.write_text(self.password)
        if os.geteuid() == 0:
            for path in (self.folder, secret):
                shutil.chown(path, OWNER, OWNER)
        options = ["-D", self.data, "-U", OWNER, "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--no-sync"]
        self.run("initdb", *map(str, options))
        settings = {"listen_addresses": listens_on, "unix_socket_directories": self.folder, "port": self.port}
        with (self.data / "postgresql.conf").open("a") as stream:
            stream.writelines(f"{key} = '{value}'\n" for key, value in {**settings, "fsync": "off"}.items())
        with (self.data / "pg_hba.conf").open("a") as stream:
            stream.write("host all all all scram-sha-256\n")  # as PostgreSQL's image has it

    def run(self, program: str, *arguments: str, said: str | None = None) -> str:
        """Run one of PostgreSQL's programs as the owner of the data, and return what it says."""
        done = subprocess.run(
            [*_as_owner(), _program(program), *arguments],
            input=said,
            env=environment(PGPASSWORD=self.password),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )
        assert done.returncode == 0, f"{program}: {done.stdout}{done.stderr}"
        return done.stdout

    def sql(self, text: str, database: str = OWNER) -> str:
        """Run SQL as the superuser, and return bare rows."""
        where = ["-h", self.host, "-p", str(self.port), "-U", OWNER, "-d", database]
        return self.run("psql", *where, "-v", "ON_ERROR_STOP=1", "-q", "-A", "-t", "-f", "-", said=text).strip()

    def make(self, name: str) -> None:
        """Make a role and a database of the same name, its own, with the password that `url` has."""
        self.sql(f"CREATE ROLE {name} LOGIN PASSWORD '{name}-password'; CREATE DATABASE {name} OWNER {name};")

    def url(self, name: str, driver: str = "pg8000") -> str:
        """Return the SQLAlchemy URL of a database for its role."""
        return f"postgresql+{driver}://{name}:{name}-password@{self.host}:{self.port}/{name}"

    def answers(self) -> bool:
        """Return whether it takes connections."""
        where = ["-h", self.host, "-p", str(self.port), "-t", "1"]
        return subprocess.run([_program("pg_isready"), *where], capture_output=True, check=False).returncode == 0

    def stop_at_once(self) -> None:
        """Stop without grace: open transactions are lost, and the next start recovers, as after a crash."""
        self.server.wanted = False
        self.run("pg_ctl", "stop", "-D", str(self.data), "-m", "immediate", "-w")
        self.server.kill()


def is_installed() -> bool:
    """Return whether there is a PostgreSQL on this machine, and a user to run it as."""
    return bool(BINARIES) and (os.geteuid() != 0 or OWNER in {user.pw_name for user in pwd.getpwall()})


@contextmanager
def postgres(host: str, databases: Sequence[str]) -> Iterator[Postgres]:
    """Run a PostgreSQL with some databases for as long as the block runs."""
    folder = Path(tempfile.mkdtemp(prefix="lidcflow-postgres-"))  # not below pytest's folder, which is root's alone
    server = Postgres(folder, host, free_port(host))
    try:
        server.server.start()
        for database in databases:
            server.make(database)
        yield server
    finally:
        server.server.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _as_owner() -> list[str]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid():
        return []
    return ["setpriv", f"--reuid={OWNER}", f"--regid={OWNER}", "--clear-groups", "--pdeathsig", "KILL"]


def _program(name: str) -> str:
    return str(BINARIES[-1] / name)
