"""Parse the address of a PACS: the service, and whether it means all of it, a study or a series."""

from __future__ import annotations

import re
from typing import NamedTuple

from lidcflow.config import Access
from lidcflow.config.service import SERVICE_URL, PacsConfig
from lidcflow.dicom.values import LONGEST_UID, is_uid
from lidcflow.errors import SourceError

PREFIX = "pacs:"
INSTANCES = "/instances/"
_URL = re.compile(r"(?P<service>.+?)(?:/studies/(?P<study>[^/]+)(?:/series/(?P<series>[^/]+))?)?/?")


class PacsService(NamedTuple):
    """A DICOMweb service.

    Parameters
    ----------
    name : str
        In the configuration; empty for one that it does not know, which is asked without user, password or token.
    config : PacsConfig
        How it is reached.
    """

    name: str
    config: PacsConfig

    @property
    def title(self) -> str:
        """Its name in messages."""
        return f"pacs {self.name or self.url}"

    @property
    def url(self) -> str:
        """Address without a slash at its end."""
        return self.config.url.rstrip("/")


class PacsPlace(NamedTuple):
    """A service, or a study or series in it."""

    service: PacsService
    study: str | None = None
    series: str | None = None


def is_pacs(source: str) -> bool:
    """Return whether a source, or the path of an instance, lies in a PACS.

    Examples
    --------
    >>> is_pacs("pacs:main"), is_pacs("https://pacs/dicom-web"), is_pacs("s3://bucket")
    (True, True, False)
    """
    return source.startswith((PREFIX, "http://", "https://"))


def parse_address(source: str, access: Access) -> PacsPlace:
    """Find the service that a source names, and the part of it.

    Parameters
    ----------
    source : str
        ``pacs:NAME`` or ``https://host/dicom-web``, with ``/STUDY/SERIES`` or ``/studies/STUDY/series/SERIES`` behind.
    access : Access
        The services that are known by name.

    Raises
    ------
    SourceError
        If there is no such service in the configuration, or an address or a UID is none. Neither is repeated: they
        may hold a password or a name.
    """
    return _named(source, access) if source.startswith(PREFIX) else _addressed(source, access)


def series_url(service: PacsService, study: str, series: str) -> str:
    """Return the address of a series.

    Raises
    ------
    SourceError
        If a UID is none: it may lead elsewhere.
    """
    place = _checked(PacsPlace(service, study, series))
    return f"{service.url}/studies/{place.study}/series/{place.series}"


def split_instance(path: str) -> tuple[str, str]:
    """Split the path of an instance into the address of its series and its SOPInstanceUID.

    Examples
    --------
    >>> split_instance("http://pacs/studies/1/series/2/instances/3")
    ('http://pacs/studies/1/series/2', '3')
    """
    series, _, uid = path.rpartition(INSTANCES)
    return series, uid


def _named(source: str, access: Access) -> PacsPlace:
    name, *uids = source.removeprefix(PREFIX).rstrip("/").split("/")
    if name not in access.pacs:
        known = ", ".join(sorted(access.pacs)) or "none"
        raise SourceError(
            f"source {PREFIX}NAME: must be a name under [access.pacs] of the configuration, got one that is not there; "
            f"known are {known}"
        )
    if len(uids) > 2:
        raise SourceError(f"source {PREFIX}{name}: must be {PREFIX}NAME/STUDY/SERIES at most, got more parts")
    return _checked(PacsPlace(PacsService(name, access.pacs[name]), *uids))


def _addressed(source: str, access: Access) -> PacsPlace:
    parts = _URL.fullmatch(source)
    if parts is None or not re.match(SERVICE_URL, parts["service"]):
        raise SourceError(
            "source: the address of a DICOMweb service must be plain, as https://host/dicom-web, got one with a user, "
            "a query or the like; set PACS_NAME_USER and PACS_NAME_PASSWORD, with NAME under [access.pacs]"
        )
    return _checked(PacsPlace(_known(parts["service"], access), parts["study"], parts["series"]))


def _known(url: str, access: Access) -> PacsService:
    for name, config in access.pacs.items():
        if config.url.rstrip("/") == url.rstrip("/"):
            return PacsService(name, config)
    return PacsService("", PacsConfig(url=url))


def _checked(place: PacsPlace) -> PacsPlace:
    for level, uid in (("StudyInstanceUID", place.study), ("SeriesInstanceUID", place.series)):
        if uid is not None and not is_uid(uid):
            raise SourceError(
                f"source {place.service.title}: {level} must be a UID of at most {LONGEST_UID} digits and dots, "
                f"got {len(uid)} characters that are not one; check the source"
            )
    return place
