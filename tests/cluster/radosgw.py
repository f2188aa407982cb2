"""Ceph's RADOS gateway on loopback, one node that keeps its objects in memory: Debian's packages without systemd."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.processes import Server, environment, free_port, listens

LOOPBACK, USER, KEY = "127.0.0.1", "client.admin", "any"
PROGRAMS = ("ceph", "ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "ceph-authtool", "monmaptool")
WITHIN_S = 120.0
PUBLIC = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*"}],
}

# The gateway does not reach a monitor without cephx.
SETTINGS = """
[global]
fsid = {fsid}
mon host = v2:{loopback}:{monitor_port}/0
mon initial members = a
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
keyring = {folder}/keyring
mon data = {folder}/mon
osd data = {folder}/osd
run dir = {folder}
admin socket = {folder}/$name.$pid.asok
pid file = {folder}/$name.$pid.pid
log file = {folder}/$name.daemon.log
public addr = {loopback}
osd objectstore = memstore
memstore device bytes = 1073741824
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 2
osd pool default pgp num = 2
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
rgw frontends = beast endpoint={loopback}:{gateway_port}
rgw data = {folder}
"""


class Gateway:
    """A monitor, a store in memory and the gateway; `url` takes S3 requests with the keys `KEY`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port(LOOPBACK)
        self.url = f"http://{LOOPBACK}:{self.port}"
        self.fsid, self.monitor_port = str(uuid.uuid4()), free_port(LOOPBACK)
        self.environment = environment(CEPH_CONF=str(folder / "ceph.conf"))
        for name in ("mon", "osd"):
            (folder / name).mkdir()
        ports = {"monitor_port": self.monitor_port, "gateway_port": self.port}
        settings = SETTINGS.format(folder=folder, fsid=self.fsid, loopback=LOOPBACK, **ports)
        (folder / "ceph.conf").write_text(settings)
        self.servers: list[Server] = []

    def start(self) -> None:
        """Start all three, each once the one before it answers, and make the user of the tests."""
        self._make_keys()
        self.run("monmaptool", "--create", "--fsid", self.fsid, "--addv", "a", self._monitor(), "monmap")
        self.run("ceph-mon", "--mkfs", "-i", "a", "--monmap", "monmap", "--keyring", "keyring")
        self._serve("ceph-mon", "-i", "a", port=self.monitor_port)
        osd = str(uuid.uuid4())
        self.run("ceph", "osd", "new", osd)
        self.run("ceph", "auth", "import", "-i", "keyring")
        self.run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        self._serve("ceph-osd", "-i", "0")
        self._serve("radosgw", "-n", USER, port=self.port)
        keys = ["--access-key", KEY, "--secret", KEY]
        self.run("radosgw-admin", "user", "create", "--uid", "tests", "--display-name", "tests", *keys)

    def _monitor(self) -> str:
        return f"[v2:{LOOPBACK}:{self.monitor_port}]"

    def _make_keys(self) -> None:
        everything = ["--cap", "mon", "allow *", "--cap", "osd", "allow *", "--cap", "mgr", "allow *"]
        self.run("ceph-authtool", "--create-keyring", "keyring", "--gen-key", "-n", "mon.", *everything)
        self.run("ceph-authtool", "keyring", "--gen-key", "-n", USER, *everything)
        self.run("ceph-authtool", "keyring", "--gen-key", "-n", "osd.0", *everything)

    def _serve(self, *command: str, port: int | None = None) -> None:
        answers = (lambda: True) if port is None else (lambda: listens(LOOPBACK, port))
        server = Server(command[0], [*command, "-f"], self.environment, self.folder, answers)
        self.servers.append(server)
        server.start()

    def run(self, *command: str) -> str:
        """Run one of Ceph's commands, and return what it says."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def kill(self) -> None:
        """End every process."""
        for server in reversed(self.servers):
            server.kill()

    def make_public_bucket(self, name: str) -> None:
        """Make a bucket that anyone may read and write."""
        import boto3

        keys = {"aws_access_key_id": KEY, "aws_secret_access_key": KEY, "region_name": "us-east-1"}
        client = boto3.client("s3", endpoint_url=self.url, **keys)
        client.create_bucket(Bucket=name)
        client.put_bucket_policy(Bucket=name, Policy=json.dumps(PUBLIC))
        client.close()


def why_not_radosgw() -> str:
    """Return why the gateway can't run here, or nothing."""
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        return f"Ceph is not here: {', '.join(missing)} (Debian packages radosgw, ceph-mon and ceph-osd)"
    return ""


@contextmanager
def radosgw() -> Iterator[Gateway]:
    """Run a gateway for as long as the block runs."""
    folder = Path(tempfile.mkdtemp(prefix="lidcflow-radosgw-"))
    gateway = Gateway(folder)
    try:
        gateway.start()
        yield gateway
    finally:
        gateway.kill()
        shutil.rmtree(folder, ignore_errors=True)
