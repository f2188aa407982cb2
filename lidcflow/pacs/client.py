"""Requests to a DICOMweb service: credentials, bounded time, no redirects to other hosts, errors in one sentence."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from lidcflow.errors import ConfigError, PacsError, SourceError
from lidcflow.pacs.address import PacsService
from lidcflow.pacs.body import bounded, decoded
from lidcflow.pacs.pace import Pace, PacedTransport, paced
from lidcflow.pacs.retry import PASSING, Excess, FailureCount, Passing, unavailable_error
from lidcflow.pacs.xml_model import json_of_xml

ANSWER_BYTES = 64 * 2**20
"""The longest JSON answer unless more was asked for; 1,000 studies take 3 MB."""

BYTES_PER_VALUE = 8
"""Fewest JSON bytes per value of an accepted answer: an empty list takes 3 and 56 of memory, a DICOM attribute 40."""

DICOM_JSON = "application/dicom+json"

MOST_REDIRECTS = 3

NO_CONTENT, CONFLICT, TOO_MANY, NOT_IMPLEMENTED = 204, 409, 429, 501

T = TypeVar("T")


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


def tls(service: PacsService) -> ssl.SSLContext:
    """Make the context that checks the service's certificate, and shows one's own.

    Parameters
    ----------
    service : PacsService
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


class NotFound(SourceError):
    """The service answers, and does not hold what was asked for (404 or 410)."""


class Pacs:
    """A connection to a DICOMweb service; threads may share it.

    Parameters
    ----------
    service : PacsService
        Which one, and how it is reached; user, password or token are taken from the environment.

    Raises
    ------
    ConfigError
        If a certificate can't be read.
    """

    def __init__(self, service: PacsService) -> None:
        self.service = service
        self._client = httpx.Client(
            auth=basic(service.name),
            # Compressed transfer of CT costs the server a hundred times what it saves.
            headers={"Accept-Encoding": "identity", **bearer(service.name)},
            transport=PacedTransport(tls(service), service.config.connections + 1),
            timeout=service.config.timeout_s,
            trust_env=False,  # proxies and .netrc of a machine are not for a PACS
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def get_json(
        self, url: str, params: Mapping[str, str] | None = None, *, most_bytes: int = ANSWER_BYTES
    ) -> tuple[Any, httpx.Headers]:
        """Get a JSON answer up to a limit of bytes, None where there is no content, and its headers.

        Raises
        ------
        PacsError
            If the service is away, too slow, refuses access, or sends more than was asked for.
        NotFound
            If it does not hold what was asked for.
        SourceError
            If it is no DICOMweb service.
        """
        request = self._client.build_request("GET", url, params=params, headers={"Accept": DICOM_JSON})
        return self._patiently(lambda: self._answer(request, most_bytes), None)[1:]

    def post(self, url: str, content: bytes, content_type: str) -> tuple[int, Any]:
        """Send something that may be sent twice; return the status, which may be 409, and the JSON answer.

        Raises
        ------
        PacsError
            If the service is away, or refuses access or all of what is sent.
        Gone, SourceError
            As for `get_json`.
        """
        headers = {"Accept": DICOM_JSON, "Content-Type": content_type}
        request = self._client.build_request("POST", url, content=content, headers=headers)
        return self._patiently(lambda: self._answer(request), None)[:2]

    @contextmanager
    def stream(self, url: str, accept: str, *, most_bytes: int) -> Iterator[tuple[str, Iterator[bytes]]]:
        """Open an answer that is read as it comes; what fails is raised as it is, for the reader to ask again.

        Yields
        ------
        str, iterator of bytes
            Content-Type, and the body, decoded.

        Raises
        ------
        Passing, httpx.TransportError
            If it may pass.
        Excess
            If more than `most_bytes` come, or in an encoding that is not taken.
        PacsError, Gone, SourceError
            As for `get_json`.
        """
        request = self._client.build_request("GET", url, headers={"Accept": accept})
        with self._sent(request) as (response, pace):
            yield response.headers.get("Content-Type", ""), _body(response, pace, most_bytes)

    def check_answers(self, retries: int = 0) -> None:
        """Ask for one study with short timeouts, to distinguish one bad series from an unavailable service.

        Parameters
        ----------
        retries : int
            Times that the request is sent again.

        Raises
        ------
        PacsError, Gone, SourceError
            As for `get_json`.
        """
        url = f"{self.service.url}/studies"
        request = self._client.build_request("GET", url, params={"limit": "1"}, headers={"Accept": DICOM_JSON})
        self._patiently(lambda: self._answer(request), retries)

    def _patiently(self, work: Callable[[], T], retries: int | None) -> T:
        patience = FailureCount(self.service, retries)
        while True:
            try:
                return work()
            except PASSING as error:
                patience.wait(error)

    def _answer(self, request: httpx.Request, most_bytes: int = ANSWER_BYTES) -> tuple[int, Any, httpx.Headers]:
        with self._sent(request) as (response, pace):
            body = b"".join(_body(response, pace, most_bytes))
            return response.status_code, _parsed(self.service, response, body, most_bytes), response.headers

    @contextmanager
    def _sent(self, request: httpx.Request) -> Iterator[tuple[httpx.Response, Pace]]:
        """Send a request, and follow redirects within the service."""
        pace = Pace(self.service.config, len(request.content))
        for _ in range(MOST_REDIRECTS + 1):
            with pace.waiting():
                response = self._client.send(request, stream=True)
            try:
                if response.next_request is None:
                    _check_status(self.service, response)
                    yield response, pace
                    return
                request = self._redirected(request, response.next_request)
            finally:
                response.close()
        raise unavailable_error(self.service, "redirects without end")

    def _redirected(self, request: httpx.Request, target: httpx.Request) -> httpx.Request:
        here, there = request.url, target.url
        same = (here.scheme, here.host, here.port) == (there.scheme, there.host, there.port)
        if not same or request.method != target.method:
            raise SourceError(f"{self.service.title}: must answer by itself, got a redirect elsewhere; check its URL")
        return target


def _check_status(service: PacsService, response: httpx.Response) -> None:
    status = response.status_code
    if response.is_success or status == CONFLICT:
        return
    if status in (401, 403):
        raise PacsError(
            f"{service.title}: the PACS must grant access, got status {status}; set PACS_NAME_USER and "
            "PACS_NAME_PASSWORD, or PACS_NAME_TOKEN, with NAME under [access.pacs] in capitals"
        )
    if status in (404, 410):
        raise NotFound(f"{service.title}: must hold what is asked for, got status {status}; check its URL and the UIDs")
    if status == TOO_MANY or (status >= 500 and status != NOT_IMPLEMENTED):
        raise Passing(f"status {status}", _retry_after_s(response))
    if response.request.method == "POST":
        raise PacsError(
            f"{service.title}: the PACS must take what is sent to it, got status {status}; look at it first"
        )
    raise SourceError(f"{service.title}: must be a DICOMweb service, got status {status}; check its URL")


def _retry_after_s(response: httpx.Response) -> float:
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() else 0.0


def _body(response: httpx.Response, pace: Pace, most_bytes: int) -> Iterator[bytes]:
    raw = paced(response.iter_raw(), pace)
    return bounded(decoded(raw, response.headers.get("Content-Encoding", "")), most_bytes)


def _parsed(service: PacsService, response: httpx.Response, body: bytes, most_bytes: int) -> Any:
    """Parse JSON, or the XML that some services answer a delivery with whatever they are asked for."""
    if response.status_code == NO_CONTENT or response.headers.get("Content-Length") == "0":
        return None
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if response.request.method == "POST" and kind.endswith("xml"):
        return json_of_xml(body)
    if body and "json" not in kind:
        raise SourceError(f"{service.title}: must be a DICOMweb service, got an answer that is no JSON; check its URL")
    if sum(map(body.count, (b",", b"[", b"{"))) > most_bytes // BYTES_PER_VALUE:
        raise Excess("JSON of more values than any answer has")
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise Passing("JSON that is cut short or damaged") from None
