"""An inbox with the volume of one small chest, read by the embedded release with a detector of random weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

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


@pytest.fixture
def candidate_inbox(tmp_path: Path, ct_series, small_detector) -> CandidateInbox:  # noqa: F811
    """Give the inbox; its store is empty."""
    hu, _, (row_mm, _) = chest([((20, 50, 32), 8, 40)], shape=(40, 120, 120), voxel_mm=(4.0, 2.8, 2.8))
    made = {"n": 40, "size": 120, "spacing_mm": 4.0, "hu": hu, "PixelSpacing": [row_mm] * 2}
    folder = ct_series(tmp_path / "source", series_uid="1.2.3", **made)
    config = Config(workspace=tmp_path / "workspace", patient_key="public", preprocess=PREPROCESS)
    release = embedded_release(PREPROCESS)
    every = release.nodules.model_copy(update={"threshold": 0.0})
    series = index_folder(folder, secret=PUBLIC_KEY).usable[0]
    return CandidateInbox(config, series, release.model_copy(update={"nodules": every}))
