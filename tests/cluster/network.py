"""A network of this machine's own: each service in a namespace with an address, a name, and a cable that can be cut."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

PREFIX = "lidcflow"


@dataclass(frozen=True)
class Network:
    """Namespaces on one bridge; this process is on it too.

    Parameters
    ----------
    addresses : mapping
        From the name of a host to its address.
    hosts : Path
        The file that says so to processes in the namespaces.
    number : int
        Of the owner, which tells networks of one machine apart.
    """

    addresses: Mapping[str, str]
    hosts: Path
    number: int

    def inside(self, host: str, *, hidden: Sequence[Path] = ()) -> list[str]:
        """Return what a command runs under to be on a host, with folders that it must not see hidden."""
        mounts = [f"mount --bind '{self.hosts}' /etc/hosts"]
        mounts += [f"mount -t tmpfs tmpfs '{folder}'" for folder in hidden]
        script = " && ".join([*mounts, 'exec "$@"'])
        return ["ip", "netns", "exec", self.namespace(host), "sh", "-c", script, "sh"]

    def namespace(self, host: str) -> str:
        """Return the name of a host's namespace."""
        return f"{PREFIX}-{self.number}-{host}"

    def cut(self, host: str) -> None:
        """Pull the cable of a host: nothing says so to those who are connected to it."""
        _ip("link", "set", self._cable(host), "down")

    def mend(self, host: str) -> None:
        """Plug it in again."""
        _ip("link", "set", self._cable(host), "up")

    @contextmanager
    def parted(self, host: str) -> Iterator[None]:
        """Keep a host from all others while the block runs."""
        self.cut(host)
        try:
            yield
        finally:
            self.mend(host)

    def _cable(self, host: str) -> str:
        """Interfaces have names of at most 15 characters."""
        return f"lf{self.number}-{list(self.addresses).index(host)}"

    def _bridge(self) -> str:
        return f"lf{self.number}"

    def _make(self, subnet: str) -> None:
        _ip("link", "add", self._bridge(), "type", "bridge")
        _ip("address", "add", f"{subnet}.1/24", "dev", self._bridge())
        _ip("link", "set", self._bridge(), "up")
        for host, address in self.addresses.items():
            space = self.namespace(host)
            _ip("netns", "add", space)
            _ip("link", "add", self._cable(host), "type", "veth", "peer", "name", "eth0", "netns", space)
            _ip("link", "set", self._cable(host), "master", self._bridge(), "up")
            _ip("-n", space, "address", "add", f"{address}/24", "dev", "eth0")
            _ip("-n", space, "link", "set", "eth0", "up")
            _ip("-n", space, "link", "set", "lo", "up")

    def _remove(self) -> None:
        for host in self.addresses:
            with suppress(subprocess.CalledProcessError):
                _ip("netns", "delete", self.namespace(host))
        with suppress(subprocess.CalledProcessError):
            _ip("link", "delete", self._bridge())


def why_not() -> str | None:
    """Return what is lacking here for a network of one's own; None where nothing is."""
    if os.geteuid() or shutil.which("ip") is None:
        return "a network of namespaces needs root and the Debian package iproute2"
    probe = f"{PREFIX}-{os.getpid()}-probe"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True, check=False)
    if made.returncode:
        return f"a network of namespaces can't be made here: {made.stderr.strip()}"
    _ip("netns", "delete", probe)
    return None


@contextmanager
def network(hosts: Sequence[str], folder: Path) -> Iterator[Network]:
    """Make a network of hosts for as long as the block runs."""
    _sweep()
    number = os.getpid() % 10**7
    subnet = _free_subnet()
    addresses = {host: f"{subnet}.{last}" for last, host in enumerate(hosts, start=2)}
    names = folder / "hosts"
    names.write_text("\n".join(["127.0.0.1 localhost", *(f"{address} {host}" for host, address in addresses.items())]))
    made = Network(addresses, names, number)
    try:
        made._make(subnet)
        yield made
    finally:
        made._remove()


def _free_subnet() -> str:
    taken = subprocess.run(["ip", "-br", "address"], capture_output=True, text=True, check=True).stdout
    return next(subnet for subnet in (f"10.77.{third}" for third in range(1, 255)) if f"{subnet}." not in taken)


def _sweep() -> None:
    """Remove what tests left that were killed."""
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    for line in listed.splitlines():
        name = line.split()[0]
        owner = name.removeprefix(f"{PREFIX}-").partition("-")[0]
        if name.startswith(f"{PREFIX}-") and owner.isdigit() and not psutil.pid_exists(int(owner)):
            with suppress(subprocess.CalledProcessError):
                _ip("netns", "delete", name)
            subprocess.run(["ip", "link", "delete", f"lf{owner}"], capture_output=True, check=False)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
