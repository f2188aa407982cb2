"""A small series: eight slices, and an answer of each verdict."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from lidcflow.config import Access, InferConfig, PreprocessConfig
from lidcflow.dicom.records import Series
from lidcflow.documents.source_header import source_header
from lidcflow.nodules.finding import Finding
from lidcflow.nodules.place import place_of
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.release.facts import ReleaseFacts
from lidcflow.report.rank import not_evaluated, recommend
from lidcflow.report.recommendation import Recommendation, SeriesWarning
from lidcflow.series.find import index_folder
from lidcflow.source.files import SourceFile
from lidcflow.store.record import VolumeRecord, attributes_of, record_of
from lidcflow.volume.reduce import reduce_series

CONFIG = PreprocessConfig(slices=8, size=32)
CREATED_NS = 1_764_000_000 * 10**9
NODULE = {
    "ranges": (0.0, 0.1, 0.6, 0.9, 0.5, 0.1, 0.7, 0.0),
    "nothing-above-threshold": (0.0, 0.1, 0.2, 0.3, 0.2, 0.1, 0.4, 0.0),
}
RELEASE = ReleaseFacts(
    name="lidcflow",
    version=3,
    threshold_nodule=0.5,
    sector_num=2,
    backbone_id="compact-0123456789ab-projections-32",
    preprocess_digest=CONFIG.digest,
    synthetic=False,
)


def series_in(folder: Path) -> Series:
    (verdict,) = index_folder(folder, secret=PUBLIC_KEY)
    assert verdict.series is not None, verdict.sentence
    return verdict.series


def record_in(series: Series) -> VolumeRecord:
    return record_of(attributes_of(series, reduce_series(series, CONFIG), CONFIG))


def finding_at(record: VolumeRecord, rank: int, image: int, row: float, column: float, **changes: Any) -> Finding:
    """Make a finding in the middle of a source image, counted from 0 at the top."""
    place = place_of(record, record.source_slices[image].z_mm, row, column)
    measured = {"probability": 0.9375 / rank, "channel": "solid", "diameter_mm": 6.0, **changes}
    return Finding(rank=rank, **place, **measured)


def answer(
    series: Series,
    verdict: str,
    release: ReleaseFacts = RELEASE,
    *,
    findings: Sequence[Finding] = (),
    warnings: Sequence[SeriesWarning] = (),
) -> Recommendation:
    """Read eight slices so that the verdict is this one."""
    if verdict == "not-evaluated":
        uid = series.series_instance_uid
        sentence = f"series {uid}: spacing must be uniform, got 2.5 to 7.5 mm"
        return not_evaluated(uid, series.study_instance_uid, "missing-slices", sentence, release)
    p = np.array(NODULE[verdict])
    rows = np.stack([1 - p, p * 0.75, p * 0.25], axis=1)
    return recommend(rows, record_in(series), release, InferConfig(), warnings, findings)


def header_of(series: Series) -> Dataset:
    top = series.slices[0]
    return source_header(SourceFile(top.path, top.file_bytes, ""), Access())
