"""The answers for the series of a study, as tables, as a page, and as what a notebook shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import overload

import numpy as np
import pandas as pd
from jinja2 import Environment
from numpy.typing import NDArray

from lidcflow.report import wording
from lidcflow.report.folder import UNKNOWN_STUDY
from lidcflow.report.outlines import on_planes
from lidcflow.report.page import FILTERS, Patches, planes_of, render_recommendation, write_report
from lidcflow.report.recommendation import Recommendation, Verdict
from lidcflow.report.told import told_of
from lidcflow.templates import templates_of
from tasks.api.settings import named_folder

FINDING_COLUMNS = (
    "rank",
    "probability",
    "malignant",
    "malignancy",
    "slice_number",
    "instance_number",
    "frame_number",
    "row",
    "column",
    "z_mm",
    "long_axis_mm",
    "short_axis_mm",
    "diameter_mm",
    "volume_mm3",
    "channel",
    "sop_instance_uid",
)

RANGE_COLUMNS = (
    "rank",
    "first_slice",
    "last_slice",
    "peak_slice",
    "nodule_at_peak",
    "malignant_at_peak",
    "z_top_mm",
    "z_bottom_mm",
    "findings",
)


@dataclass(frozen=True)
class SeriesResult:
    """The answer of a release for one series. Research use only, not for diagnosis.

    Parameters
    ----------
    recommendation : Recommendation
        Everything that ``recommendations.json`` holds.
    hu : (2, slices, rows, columns) array of int16, optional
        The volume in HU, channels ``mean`` and ``max``; None for a series that was not evaluated.
    planes : mapping of int to (3, rows, columns) array of int16
        Axial, coronal and sagittal plane through each finding in HU, by the finding's rank.
    """

    recommendation: Recommendation
    hu: NDArray[np.int16] | None = field(default=None, repr=False, compare=False)
    planes: Patches = field(default_factory=dict, repr=False, compare=False)

    @property
    def series_instance_uid(self) -> str:
        """SeriesInstanceUID."""
        return self.recommendation.series_instance_uid

    @property
    def study_instance_uid(self) -> str | None:
        """StudyInstanceUID, where it is known."""
        return self.recommendation.study_instance_uid

    @property
    def verdict(self) -> Verdict:
        """``ranges``, ``nothing-above-threshold`` or ``not-evaluated``."""
        return self.recommendation.verdict

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about how the series differs from what the release was trained on."""
        return tuple(one.sentence for one in self.recommendation.warnings)

    @property
    def ranges(self) -> pd.DataFrame:
        """The recommended ranges of slices, best first; slices count from 1 at the top of the chest."""
        rows = [{name: getattr(one, name) for name in RANGE_COLUMNS} for one in self.recommendation.ranges]
        return pd.DataFrame(rows, columns=list(RANGE_COLUMNS))

    @property
    def findings(self) -> pd.DataFrame:
        """The findings, best first: P(nodule), P(malignant), place and size of each."""
        rows = [{name: getattr(one, name) for name in FINDING_COLUMNS} for one in self.recommendation.findings]
        return pd.DataFrame(rows, columns=list(FINDING_COLUMNS))

    @property
    def slices(self) -> pd.DataFrame:
        """Every slice, top of the chest first, with its calibrated probabilities and its rank."""
        rows = [
            {"slice": one.slice_number, "z_mm": one.z_mm, "rank": one.rank, **one.probabilities.model_dump()}
            for one in self.recommendation.slices
        ]
        return pd.DataFrame(rows, columns=["slice", "z_mm", "rank", "non_nodule", "benign", "malignant", "nodule"])

    def to_html(self) -> str:
        """Return the whole page of the series, the same that `lidcflow infer` writes."""
        return render_recommendation(self.recommendation, self.hu, self.planes)

    def save(self, folder: str | Path) -> Path:
        """Write ``report.html`` and ``recommendations.json`` to ``<folder>/<study>/<series>``, and return the page.

        Raises
        ------
        ConfigError
            If the folder is an empty text.
        ResourceError
            If the folder can't be written.
        """
        own = named_folder(folder, "folder") / (self.study_instance_uid or UNKNOWN_STUDY) / self.series_instance_uid
        return write_report(self.recommendation, self.hu, own, self.planes)

    def _repr_html_(self) -> str:
        return (
            templates()
            .get_template("result.html")
            .render(
                study=self.recommendation,
                told=told_of(self.recommendation),
                volume=self.recommendation.volume,
                planes=planes_of(self.recommendation, self.planes),
                outlines=on_planes(self.recommendation),
            )
        )

    def __repr__(self) -> str:
        said = self.recommendation
        found = f"{len(said.findings)} findings, slices {', '.join(map(wording.slices, said.ranges)) or 'none'}"
        what = said.reason.code if said.reason else found
        return f"<series {self.series_instance_uid}: {self.verdict}, {what}; research use only>"


@dataclass(frozen=True)
class StudyResults(Sequence[SeriesResult]):
    """The answers for the CT series of a source, ordered by study and series.

    Parameters
    ----------
    results : tuple of SeriesResult
        One for each series.
    """

    results: tuple[SeriesResult, ...]

    @overload
    def __getitem__(self, index: int) -> SeriesResult: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[SeriesResult]: ...
    def __getitem__(self, index: int | slice) -> SeriesResult | Sequence[SeriesResult]:
        """Return a result by its number, or several."""
        return self.results[index]

    def __len__(self) -> int:
        return len(self.results)

    def __iter__(self) -> Iterator[SeriesResult]:
        return iter(self.results)

    def _repr_html_(self) -> str:
        return "".join(result._repr_html_() for result in self.results)


@cache
def templates() -> Environment:
    """Return the templates of what a notebook shows."""
    return templates_of("tasks.api", filters={function.__name__: function for function in FILTERS})
