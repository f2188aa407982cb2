"""Fixtures of these tests."""

import pytest

from lidcflow.labels.lidc import lidc_scans
from lidcflow.phantom.patient import build_phantom


@pytest.fixture(scope="session")
def scan():
    """Return the series of LIDC-IDRI-0001: one large nodule, four readers."""
    return lidc_scans()[0]


@pytest.fixture(scope="session")
def phantom(scan):
    return build_phantom(scan, seed=0)
