"""The services of infra/compose.yaml as typed values, and as processes of this machine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

INFRA = Path(__file__).resolve().parents[2] / "infra"
FILE = INFRA / "compose.yaml"
SECRETS = "/run/secrets"
ENTRYPOINT = "/usr/local/bin/lidcflow-entrypoint"
"""Where the image has infra/entrypoint.sh."""

PROGRAMS = "/opt/lidcflow"
"""Where the image has the programs of infra/."""

VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


@dataclass(frozen=True)
class Service:
    """What a service runs with.

    Parameters
    ----------
    name : str
        Its name, which the others reach it by.
    image : str
        With its tag.
    argv : tuple of str
        Program and arguments; for our own images the entrypoint comes first.
    environment : mapping
        All variables that the file sets.
    secrets : mapping
        From the path in the container to the name of the secret.
    """

    name: str
    image: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    secrets: Mapping[str, str]
    networks: tuple[str, ...]
    ports: tuple[str, ...]
    volumes: tuple[str, ...]
    health: tuple[str, ...]
    document: Mapping[str, Any] = field(repr=False)

    @property
    def is_ours(self) -> bool:
        """Return whether its image is made by infra/Dockerfile."""
        return "build" in self.document

    def here(self, secrets: Path, places: Mapping[str, str] | None = None) -> Service:
        """Return the same as a process of this machine.

        Parameters
        ----------
        secrets : Path
            Folder that `infra/secrets.sh` made.
        places : mapping, optional
            What stands for what, in commands, variables and the check of health: ``{"prefect:4200":
            "127.0.0.1:4300"}``. The longest comes first.
        """
        own = {SECRETS: str(secrets), ENTRYPOINT: str(INFRA / "entrypoint.sh"), PROGRAMS: str(INFRA)}
        there = own | dict(places or {})
        variables = {name: replaced(value, there) for name, value in self.environment.items()}
        return replace(
            self,
            argv=tuple(replaced(word, there) for word in self.argv),
            health=tuple(replaced(word, there) for word in self.health),
            environment=variables | {"SECRETS_FOLDER": str(secrets)},
        )


def replaced(text: str, places: Mapping[str, str]) -> str:
    """Put one text for another, the longest first, each once.

    Examples
    --------
    >>> replaced("http://prefect:4200/api", {"prefect:4200": "127.0.0.1:80", "prefect": "no"})
    'http://127.0.0.1:80/api'
    """
    if not places:
        return text
    words = sorted(places, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, words)), lambda found: places[found[0]], text)


@cache
def document() -> dict[str, Any]:
    """Return the file, merged and with the defaults of its variables."""
    return dict(yaml.safe_load(VARIABLE.sub(lambda found: found[2] or "", FILE.read_text(encoding="utf-8"))))


@cache
def services() -> Mapping[str, Service]:
    """Return every service of the file by its name."""
    return {name: _service(name, entry) for name, entry in document()["services"].items()}


def _service(name: str, entry: Mapping[str, Any]) -> Service:
    ours = [ENTRYPOINT] if "build" in entry else []
    return Service(
        name=name,
        image=entry["image"],
        argv=(*ours, *entry.get("entrypoint", []), *entry.get("command", [])),
        environment=entry.get("environment", {}),
        secrets=dict(_secret(secret) for secret in entry.get("secrets", [])),
        networks=tuple(entry.get("networks", [])),
        ports=tuple(entry.get("ports", [])),
        volumes=tuple(entry.get("volumes", [])),
        health=tuple(entry.get("healthcheck", {}).get("test", [])[1:]),
        document=entry,
    )


def _secret(entry: str | Mapping[str, str]) -> tuple[str, str]:
    if isinstance(entry, str):
        return f"{SECRETS}/{entry}", entry
    return entry["target"], entry["source"]
