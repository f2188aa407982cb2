"""Who asks a PACS, and whom it is taken for: secrets of the environment, certificates of files."""

from __future__ import annotations

import os
import ssl

import httpx

from lidcflow.errors import ConfigError
from lidcflow.pacs.places import Service


def basic(name: str) -> httpx.BasicAuth | None:
    """Return user and password of a service, from ``PACS_NAME_USER`` and ``PACS_NAME_PASSWORD``.

    Parameters
    ----------
    name : str
        Of the service in the configuration; one without a name gets neither.
    """
    user = _secret(name, "USER")
    return httpx.BasicAuth(user, _secret(name, "PASSWORD") or "") if user else None


def bearer(name: str) -> dict[str, str]:
    """Return the header with the token of a service, from ``PACS_NAME_TOKEN``; empty when there is none.

    Parameters
    ----------
    name : str
        Of the service in the configuration.
    """
    token = _secret(name, "TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}


def tls(service: Service) -> ssl.SSLContext:
    """Make the context that checks the service's certificate, and shows one's own.

    Parameters
    ----------
    service : Service
        Which one.

    Raises
    ------
    ConfigError
        If a file of certificates can't be read.
    """
    config = service.config
    if not service.url.startswith("https:"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # not used, and free of the cost of reading certificates
    try:
        context = ssl.create_default_context(cafile=config.ca_bundle)
        if config.client_certificate:
            context.load_cert_chain(config.client_certificate, config.client_key)
    except OSError as error:
        raise ConfigError(
            f"{service.title}: ca_bundle, client_certificate and client_key must be PEM files, "
            f"got {type(error).__name__}; check the paths"
        ) from None
    return context


def _secret(name: str, kind: str) -> str | None:
    return os.environ.get(f"PACS_{name.upper().replace('-', '_')}_{kind}") if name else None
