"""Which sources and targets answer in this round: each PACS is probed once, and left alone once it is away."""

from __future__ import annotations

from typing import Protocol

from lidcflow.errors import PacsError, SourceError
from lidcflow.pacs.address import PacsService
from lidcflow.pacs.client import Pacs

PROBE_RETRIES = 1
"""A probe that finds a service away takes two timeouts, not the patience that one delivery deserves."""


class Reachable(Protocol):
    """A source or a target."""

    @property
    def service(self) -> PacsService | None:
        """The DICOMweb service that must answer; None for a folder or a bucket."""


class PacsAvailability:
    """Remembers for one round which PACS are away; folders and buckets are never."""

    def __init__(self) -> None:
        self._away: dict[str, str] = {}
        self._probed: set[str] = set()

    def why_away(self, place: Reachable) -> str | None:
        """Return why a source or target can't be used in this round, None if it can; probe it the first time."""
        service = place.service
        if service is None:
            return None
        if service.url not in self._probed:
            self._probed.add(service.url)
            self._probe(service)
        return self._away.get(service.url)

    def is_known_away(self, place: Reachable) -> bool:
        """Return whether a source or target was found to be away, without a probe."""
        service = place.service
        return service is not None and service.url in self._away

    def lose(self, place: Reachable, error: PacsError) -> None:
        """Leave a PACS alone for the rest of the round: it stopped answering."""
        if service := place.service:
            self._away[service.url] = str(error)

    @property
    def sentences(self) -> list[str]:
        """Return a sentence for each PACS that is away."""
        return list(self._away.values())

    def _probe(self, service: PacsService) -> None:
        """Ask for one study; a service that takes deliveries alone answers that too, if only with a refusal."""
        try:
            with Pacs(service) as pacs:
                pacs.check_answers(retries=PROBE_RETRIES)
        except PacsError as error:
            self._away[service.url] = str(error)
        except SourceError:
            return
