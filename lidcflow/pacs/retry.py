"""Retry requests to a PACS, a limited number of times with growing delays, and report the final failure."""

from __future__ import annotations

import time

import httpx

from lidcflow.errors import PacsError, PacsUnavailable
from lidcflow.pacs.address import PacsService

FIRST_DELAY_S, LONGEST_DELAY_S = 0.2, 30.0


class Passing(Exception):
    """A failure that may pass; the text is what was got, `wait_s` what the service asks to wait."""

    def __init__(self, found: str, wait_s: float = 0.0) -> None:
        super().__init__(found)
        self.wait_s = wait_s


class Excess(Exception):
    """An answer that is more than any answer to what was asked: asking again would bring it again."""


PASSING = (Passing, Excess, httpx.TransportError)
"""Errors that are retried: every request to a PACS made here may be repeated."""

_CERTIFICATES = {
    "CERTIFICATE_VERIFY_FAILED": "its certificate must be one that can be verified, got another; set ca_bundle",
    "CERTIFICATE": "the PACS must know this client's certificate, got a refusal; set client_certificate",
}
"""OpenSSL's messages about certificates, in order of precedence: these errors are permanent."""


# The library tenacity (9.2) was left out: it takes 84 ms of CPU time to import, and what it offers is the line that
# doubles a delay. Which failures pass, the wait that a service asks for and the sentences would stay, as callables of
# it; and `lidcflow.pacs.retrieve` waits inside a generator that has already yielded instances, which is no function
# that could be called again.
class FailureCount:
    """Counts failures, and waits after each until there were too many.

    Parameters
    ----------
    service : PacsService
        Whose settings count.
    retries : int, optional
        Instead of the service's.
    """

    def __init__(self, service: PacsService, retries: int | None = None) -> None:
        self._service = service
        self._left = service.config.retries if retries is None else retries
        self._delay_s = FIRST_DELAY_S

    def wait(self, error: Exception) -> None:
        """Wait for the next try.

        Raises
        ------
        PacsError
            If there is none left, or the failure does not pass.
        """
        for mark, sentence in _CERTIFICATES.items():
            if mark in str(error):
                raise PacsError(f"{self._service.title}: {sentence}") from None
        if self._left == 0 or isinstance(error, Excess):
            raise unavailable_error(self._service, _found(error, self._service.config.timeout_s)) from None
        self._left -= 1
        time.sleep(min(max(self._delay_s, getattr(error, "wait_s", 0.0)), LONGEST_DELAY_S))
        self._delay_s *= 2


def unavailable_error(service: PacsService, found: str) -> PacsUnavailable:
    """Return the error of a service that did not answer as it must."""
    return PacsUnavailable(
        f"{service.title}: the PACS must answer, got {found}; check the network and the service, and run again: "
        "what is finished is kept"
    )


def _found(error: Exception, timeout_s: float) -> str:
    """Name the error by its kind: a library's own message may contain addresses."""
    if isinstance(error, Passing | Excess):
        return str(error)
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return "no connection"
    if isinstance(error, httpx.TimeoutException):
        return f"nothing for {timeout_s:g} s"
    return "an answer that broke off"
