"""Checks for drift, made small."""

from datetime import UTC, datetime

import numpy as np

from lidcflow.drift.quantities import Recent
from tests.drift.profiles import SLICES

NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
HOSTILE = "<script>document.title='x'</script>$"
NOTHING = Recent([], [], [], np.zeros((0, SLICES)))
