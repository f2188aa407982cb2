"""An inbox with the volume of one small chest, read by the embedded release with a detector of random weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lidcflow.config import Access, Config, PreprocessConfig
from lidcflow.dicom.records import Series
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.release.embedded import embedded_release
from lidcflow.release.record import ReleaseRecord
from lidcflow.series.find import index_folder
from lidcflow.store.address import inbox_store
from lidcflow.store.volumes import VolumeStore
from tasks.candidates import preprocess_with_candidates
from tasks.worker import preprocess_series
from tests.nodules.chest import chest
from tests.nodules.detectors import small_detector  # noqa: F401

PREPROCESS = PreprocessConfig(slices=8, size=16)


@dataclass(frozen=True)
class CandidateInbox:
    """A configuration, a series whose files lie beside it, and a release that calls every candidate a finding."""

    config: Config
    series: Series
    release: ReleaseRecord

    @property
    def store(self) -> VolumeStore:
        """The store of the inbox."""
        return inbox_store(self.config).open(create=True)

    def bring(self, *, candidates: bool) -> str:
        """Bring the volume into the store, with its candidates or without; return the series' UID."""
        place = {"store_root": self.store.root, "config": PREPROCESS, "access": Access()}
        (preprocess_with_candidates if candidates else preprocess_series)(self.series, **place)
        return self.series.series_instance_uid


SPACING_MM = 4.0
VOXEL_MM = (SPACING_MM, 2.8, 2.8)
BALL = ((20, 50, 32), 8, 40)


def small_chest() -> NDArray[np.int16]:
    """Return HU of a chest with a ball in a lung."""
    return chest([BALL], shape=(40, 120, 120), voxel_mm=VOXEL_MM)[0]


def inbox_of(folder: Path, ct_series: Any, hu: NDArray[np.integer], voxel_mm: tuple[float, ...]) -> CandidateInbox:
    """Return an inbox for a series of these square images; its store is empty."""
    made = {"n": len(hu), "size": hu.shape[1], "spacing_mm": voxel_mm[0], "hu": hu}
    source = ct_series(folder / "source", series_uid="1.2.3", PixelSpacing=list(voxel_mm[1:]), **made)
    config = Config(workspace=folder / "workspace", patient_key="public", preprocess=PREPROCESS)
    release = embedded_release(PREPROCESS)
    every = release.nodules.model_copy(update={"threshold": 0.0})
    series = index_folder(source, secret=PUBLIC_KEY).usable[0]
    return CandidateInbox(config, series, release.model_copy(update={"nodules": every}))


@pytest.fixture
def candidate_inbox(tmp_path: Path, ct_series, small_detector) -> CandidateInbox:  # noqa: F811
    """Return the inbox; its store is empty."""
    return inbox_of(tmp_path, ct_series, small_chest(), VOXEL_MM)
