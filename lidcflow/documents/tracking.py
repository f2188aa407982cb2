"""Tracking of a finding in documents: the structured report and the segmentation name it alike."""

from __future__ import annotations

from lidcflow.documents.uids import tracking_uid
from lidcflow.nodules.finding import Finding
from lidcflow.report.recommendation import Recommendation


def finding_identifier(found: Finding) -> str:
    """Return the Tracking Identifier of a finding, for people."""
    return f"finding {found.rank}"


def finding_uid(said: Recommendation, found: Finding) -> str:
    """Return the Tracking Unique Identifier of a finding, by its place: a repeat does not change it."""
    return tracking_uid(said, f"finding at {found.z_mm:.1f}, {found.row:.0f}, {found.column:.0f}")
