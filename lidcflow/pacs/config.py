"""How a PACS is reached; user, password and token come from the environment, never from here."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

SERVICE_URL = r"^https?://[^/@?#\s]+(/[^/@?#\s]+)*/?$"
"""An address without user, password, query or fragment."""

Since = Literal["now", "everything"] | date
"""What of the studies that a PACS holds already is read: none, all, or those from a day on."""

PacsName = Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9-]{0,39}$")]


class PacsConfig(BaseModel):
    """A DICOMweb service, and how patient its client is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(pattern=SERVICE_URL, description="DICOMweb service, as https://pacs.example.org/dicom-web")
    changes: str | None = Field(
        None,
        pattern=SERVICE_URL,
        description="Orthanc's feed of changes, as https://.../changes; none: polling",
    )
    modality: str = Field("CT", pattern="^[A-Z0-9]{2,16}$", description="series that are looked for")
    since: Since = Field(
        "now",
        description="what of the studies that it holds when it is first looked at is read: none, all, or from a day on",
    )
    poll_days: int = Field(3, ge=1, le=3650, description="age of study dates that QIDO-RS polling looks at, in days")
    timeout_s: float = Field(30, gt=0, description="time that an answer, or the next part of it, may take")
    slowest_kib_s: float = Field(
        16, gt=0, description="slowest transfer that is waited for, in KiB/s; an answer may fall behind by two timeouts"
    )
    largest_instance_gib: float = Field(2, gt=0, le=4, description="longest instance that is taken, in GiB")
    largest_series_gib: float = Field(32, gt=0, description="longest series that is taken, in GiB")
    retries: int = Field(4, ge=0, le=100, description="times that a request is sent again, with growing delays")
    connections: int = Field(4, ge=1, le=64, description="requests in flight of one process")
    ca_bundle: Path | None = Field(None, description="certificates that the service's own is checked against")
    client_certificate: Path | None = Field(None, description="certificate that is shown to the service")
    client_key: Path | None = Field(None, description="its key, where that is a file of its own")
