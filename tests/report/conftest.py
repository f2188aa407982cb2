"""A small study for the tests of reading: eight slices of 10 mm, two source images in each."""

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from lidcflow.config import InferConfig, PreprocessConfig
from lidcflow.nodules.finding import Finding
from lidcflow.release.facts import ReleaseFacts
from lidcflow.report.page import DATA
from lidcflow.report.rank import recommend
from lidcflow.report.recommendation import Recommendation, SeriesWarning
from lidcflow.store.record import VolumeRecord
from lidcflow.volume.slabs import SlabSource

PREPROCESSING = PreprocessConfig()


@pytest.fixture
def release() -> ReleaseFacts:
    return ReleaseFacts(
        name="lidcflow",
        version=3,
        threshold_nodule=0.5,
        sector_num=2,
        backbone_id="compact-0123456789ab-projections-128",
        preprocess_digest=PREPROCESSING.digest,
        synthetic=False,
        fallback_sectors=(2,),
    )


@pytest.fixture
def make_record() -> Callable[..., VolumeRecord]:
    """Slices of 10 mm from z = 0 downwards; image 2k+1 and 2k+2 are slice k, and 2k+2 reaches into slice k+1."""

    def make(n_slices: int = 8, **changes: Any) -> VolumeRecord:
        edges_mm = -10.0 * np.arange(n_slices + 1)
        fields = {
            "series_instance_uid": "1.2.840.2",
            "study_instance_uid": "1.2.840.1",
            "frame_of_reference_uid": None,
            "patient_key": "cb120ad193263e76",
            "fingerprint": "f" * 64,
            "synthetic": False,
            "config_digest": PREPROCESSING.digest,
            "volume_digest": "ab" * 32,
            "edges_mm": edges_mm,
            "slice_spacing_mm": 5.0,
            "sources": tuple(_slab(k) for k in range(n_slices)),
            "flags": (),
            "lung_z_mm": None,
            "acquisition": {"manufacturer": "ACME", "kernel": "SOFT", "kvp": 120.0, "contrast": None},
            "n_source_slices": 2 * n_slices,
            "row_spacing_mm": 0.7,
            "column_spacing_mm": 0.7,
            "rows": 512,
            "columns": 512,
        }
        return VolumeRecord(**{**fields, **changes})

    return make


def _slab(k: int) -> tuple[SlabSource, ...]:
    numbers = [2 * k + 1, 2 * k + 2] if k == 0 else [2 * k, 2 * k + 1, 2 * k + 2]
    return tuple(
        SlabSource(sop_instance_uid=f"1.2.840.3.{n}", instance_number=n, z_mm=2.5 - 5.0 * n, weight=1 / len(numbers))
        for n in numbers
    )


@pytest.fixture
def rows() -> Callable[..., np.ndarray]:
    """Make probabilities from P(nodule) of each slice, a share of it malignant."""

    def make(*nodule: float, malignant_share: float = 0.25) -> np.ndarray:
        p = np.array(nodule)
        return np.stack([1 - p, p * (1 - malignant_share), p * malignant_share], axis=1)

    return make


@pytest.fixture
def study(make_record, release, rows) -> Callable[..., Recommendation]:
    """Read eight slices of which the third to fifth and the seventh reach the threshold."""

    def read(
        *nodule: float,
        ranges: int = 10,
        slices: int = 10,
        findings: Sequence[Finding] = (),
        warnings: Sequence[SeriesWarning] = (),
        **changes: Any,
    ) -> Recommendation:
        probabilities = rows(*(nodule or (0.0, 0.1, 0.6, 0.9, 0.5, 0.1, 0.7, 0.0)))
        record = make_record(len(probabilities), **changes)
        return recommend(probabilities, record, release, InferConfig(ranges=ranges, slices=slices), warnings, findings)

    return read


@pytest.fixture
def finding(make_record) -> Callable[..., Finding]:
    """Make a finding of 6 mm in the middle of a slice and of its images."""

    def make(rank: int, slice_number: int, n_slices: int = 8, **changes: Any) -> Finding:
        record = make_record(n_slices)
        image = record.sources[slice_number - 1][0]
        fields = {
            "rank": rank,
            "probability": 0.95 - 0.1 * rank,
            "channel": "solid",
            "diameter_mm": 6.0,
            "z_mm": -10.0 * slice_number + 5.0,
            "slice_number": slice_number,
            "sop_instance_uid": image.sop_instance_uid,
            "instance_number": image.instance_number,
            "row": 128.0,
            "column": 384.0,
        }
        return Finding(**{**fields, **changes})

    return make


@pytest.fixture
def findings(finding) -> list[Finding]:
    """Two findings: the best in the seventh of eight slices, the other in the second, below the threshold."""
    return [finding(1, 7), finding(2, 2, channel="ground-glass", diameter_mm=14.0)]


@pytest.fixture
def frames(make_record) -> tuple[tuple[SlabSource, ...], ...]:
    """Return the sources of eight slices, as frames of one multi-frame instance."""
    return tuple(
        tuple(
            source._replace(sop_instance_uid="1.2.9", instance_number=1, frame_number=source.instance_number)
            for source in slab
        )
        for slab in make_record(8).sources
    )


@pytest.fixture
def hu() -> np.ndarray:
    """Air around a bright square; the square's row says the slice."""
    volume = np.full((2, 8, 16, 16), -1000, dtype=np.int16)
    for k in range(8):
        volume[:, k, k + 4, 4:12] = 100
    return volume


@pytest.fixture
def put(tmp_path):
    """Write a recommendation as the report of the study 1.2.<number>."""

    def write(number, text):
        folder = tmp_path / f"1.2.{number}" / "1.2.840.2"
        folder.mkdir(parents=True)
        (folder / DATA).write_text(text)
        os.utime(folder / DATA, (1e9 + number, 1e9 + number))

    return write
