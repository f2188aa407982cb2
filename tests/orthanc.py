"""A real PACS on loopback: Orthanc with its DICOMweb plugin, in a folder of its own."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from lidcflow.config import Access
from lidcflow.config.service import PacsConfig
from lidcflow.pacs.address import PacsService
from lidcflow.pacs.client import Pacs

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
STARTS_WITHIN_S = 60.0
STABLE_AGE_S = 1


@dataclass
class Orthanc:
    """A running Orthanc.

    Parameters
    ----------
    root : str
        Address of its own interface.
    process : Popen
        What runs.
    client : Client
        Asks it.
    """

    root: str
    process: subprocess.Popen[bytes]
    client: httpx.Client

    @property
    def url(self) -> str:
        """Address of its DICOMweb service."""
        return f"{self.root}/dicom-web"

    @property
    def config(self) -> PacsConfig:
        """How to reach it, its feed of changes included."""
        changes = f"{self.root}/changes"
        return PacsConfig(url=self.url, changes=changes, since="everything", timeout_s=20, retries=2)

    @property
    def access(self) -> Access:
        """How sources reach it, as ``pacs:main``."""
        return Access(pacs={"main": self.config})

    def connect(self, **settings: Any) -> Pacs:
        """Open a connection to it, with some settings changed."""
        return Pacs(PacsService("main", self.config.model_copy(update=settings)))

    def send(self, folder: Path) -> str:
        """Store the files of a folder, and return the StudyInstanceUID of the last one."""
        for path in sorted(folder.rglob("*.dcm")):
            answer = self.ask("POST", "/instances", content=path.read_bytes())
        return self.ask("GET", f"/studies/{answer['ParentStudy']}")["MainDicomTags"]["StudyInstanceUID"]

    def delete(self, level: str, uid: str) -> None:
        """Delete what has a UID: one of its "studies", "series" or "instances"."""
        for found in self.ask("POST", "/tools/lookup", content=uid.encode()):
            if found["Path"].startswith(f"/{level}/"):
                self.ask("DELETE", found["Path"])

    def clear(self) -> None:
        """Delete everything, and forget that it happened."""
        for study in self.ask("GET", "/studies"):
            self.ask("DELETE", f"/studies/{study}")
        self.ask("DELETE", "/changes")

    def wait_until_stable(self, studies: int) -> None:
        """Wait until it has said of so many studies that nothing comes any more."""
        deadline_s = time.monotonic() + STARTS_WITHIN_S
        while time.monotonic() < deadline_s:
            changes = self.ask("GET", "/changes?limit=100000")["Changes"]
            if sum(change["ChangeType"] == "StableStudy" for change in changes) >= studies:
                return
            time.sleep(0.1)
        raise TimeoutError(f"{studies} studies must become stable")

    def ask(self, method: str, path: str, content: bytes | None = None) -> Any:
        """Use its own interface."""
        answer = self.client.request(method, f"{self.root}{path}", content=content)
        answer.raise_for_status()
        return answer.json() if answer.content else None


def is_installed() -> bool:
    """Return whether there is an Orthanc with DICOMweb on this machine."""
    return shutil.which("Orthanc") is not None and PLUGIN.exists()


@contextmanager
def orthanc(lua: str | None = None) -> Iterator[Orthanc]:
    """Run an empty Orthanc on free ports of loopback, with a Lua script if one is given."""
    with tempfile.TemporaryDirectory(prefix="lidcflow-orthanc-", ignore_cleanup_errors=True) as scratch:
        http, dicom = _free_ports(2)
        settings = Path(scratch) / "orthanc.json"
        scripts = [Path(scratch) / "script.lua"] if lua else []
        for script in scripts:
            script.write_text(str(lua))
        own = {"LuaScripts": [str(script) for script in scripts]}
        settings.write_text(json.dumps({**_settings(Path(scratch) / "db", http, dicom), **own}))
        process = subprocess.Popen(
            ["Orthanc", str(settings)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=scratch
        )
        unkept = httpx.Limits(max_keepalive_connections=0)  # a busy Orthanc closes one that is about to be used
        with httpx.Client(trust_env=False, timeout=60, limits=unkept) as client:
            try:
                server = Orthanc(f"http://127.0.0.1:{http}", process, client)
                _wait(server)
                yield server
            finally:
                _stop(process)


def _settings(folder: Path, http: int, dicom: int) -> dict[str, Any]:
    """Keep it on loopback whatever it binds, and let it answer without compressing: that costs a hundredfold."""
    return {
        "Name": "tests",
        "StorageDirectory": str(folder),
        "IndexDirectory": str(folder),
        "HttpPort": http,
        "DicomPort": dicom,
        "DicomAlwaysAllowEcho": False,
        "DicomAlwaysAllowStore": False,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "HttpCompressionEnabled": False,
        "StableAge": STABLE_AGE_S,
        "OverwriteInstances": True,
        "Plugins": [str(PLUGIN)],
    }


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def _wait(server: Orthanc) -> None:
    deadline_s = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < deadline_s and server.process.poll() is None:
        with suppress(httpx.TransportError):
            server.ask("GET", "/system")
            return
        time.sleep(0.05)
    raise TimeoutError("Orthanc must start")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Kill it at once: what it holds is thrown away, and it takes seconds to put that in order."""
    process.kill()
    process.wait()
