"""Web proxies of the environment: this machine is reached without one, and one that can't be used is left out.

httpx (Prefect), requests (MLflow), urllib, websockets and the client of object stores all read ``HTTP_PROXY``,
``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY`` in either case, and each reads the exceptions a little differently.
"""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Iterable, MutableMapping
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from lidcflow.config import Config  # 0.2 s of CPU, which `lidcflow --help` need not spend

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Names under which a machine reaches itself."""

WITHOUT_PROXY = (*LOOPBACK, "127.0.0.0/8")
"""Without brackets around ``::1``, which httpx can't read; httpx and urllib ignore the range, the others know it."""

ANYWHERE = ("0.0.0.0", "::")  # noqa: S104
EXCEPTIONS = ("no_proxy", "NO_PROXY")
SCHEMES = ("http", "https")
SOCKS = ("socks5", "socks5h")


def bypass_proxies(environ: MutableMapping[str, str], config: Config | None = None) -> list[str]:
    """Exempt every server of this machine from proxies, and keep the exceptions that the user has set.

    Parameters
    ----------
    environ : mutable mapping
        Environment to change; without a proxy in it, it stays as it is.
    config : Config, optional
        Its servers of this machine are excepted by their own names too.

    Returns
    -------
    list of str
        A sentence for each proxy that can't be used and was taken out: httpx would end every command, also those that
        need no network.
    """
    ignored = _drop_unusable(environ)
    if any(_is_proxy(name) and value for name, value in environ.items()):
        hosts = [*WITHOUT_PROXY, *_own_hosts(environ, config)]
        excepted = {name: environ.get(name, "") or environ.get(other, "") for name, other in _both_cases()}
        environ.update({name: _with(entries, hosts) for name, entries in excepted.items()})
    return ignored


def warn_of_ignored(sentences: Iterable[str]) -> None:
    """Print what `bypass_proxies` took out on standard error; standard output is for reports."""
    for sentence in sentences:
        print(f"warning: {sentence}", file=sys.stderr)


def _drop_unusable(environ: MutableMapping[str, str]) -> list[str]:
    dropped = {name: why for name, value in environ.items() if _is_proxy(name) and value and (why := _fault(value))}
    for name in dropped:
        del environ[name]
    return [
        f"{name}: must be the address of a web proxy as http://host:port, got {why}; it is ignored"
        for name, why in dropped.items()
    ]


def _fault(value: str) -> str | None:
    """Return what is wrong with the address of a proxy, which may hold a password and is not quoted."""
    address = value if "://" in value else f"http://{value}"
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "no address that can be read"
    if parts.scheme in SOCKS:
        return None if find_spec("socksio") else "a SOCKS proxy, for which the package socksio is not installed"
    if parts.scheme not in SCHEMES:
        return f"the scheme {parts.scheme!r}"
    return None if host else "no host"


def _is_proxy(name: str) -> bool:
    return name.lower().endswith("_proxy") and name.lower() != "no_proxy"


def _both_cases() -> tuple[tuple[str, str], ...]:
    return ((EXCEPTIONS[0], EXCEPTIONS[1]), (EXCEPTIONS[1], EXCEPTIONS[0]))


def _own_hosts(environ: MutableMapping[str, str], config: Config | None) -> list[str]:
    """Return the names under which servers of this machine are reached, beside those that everyone knows."""
    addresses = [environ.get("PREFECT_API_URL", ""), environ.get("MLFLOW_TRACKING_URI", "")]
    if config is None:
        return [host for host in map(_host, addresses) if _is_loopback(host)]
    addresses += [config.tracking_uri, config.access.s3.endpoint or ""]
    served = config.serve.host.strip("[]")
    return [host for host in map(_host, addresses) if _is_loopback(host)] + [served] * (served not in ANYWHERE)


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _with(excepted: str, hosts: Iterable[str]) -> str:
    """Add hosts to a list of exceptions; ``*`` excepts everything already.

    Examples
    --------
    >>> _with("pacs.hospital,[::1]", ["::1", "localhost"])
    'pacs.hospital,::1,localhost'
    """
    if excepted.strip() == "*":
        return excepted
    entries = [entry.strip().replace("[", "").replace("]", "") for entry in excepted.split(",")]
    return ",".join(dict.fromkeys(entry for entry in (*entries, *hosts) if entry))
