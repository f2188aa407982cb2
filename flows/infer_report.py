"""The results of an inference. A command that prints them imports neither SciPy nor pydicom for that."""

from __future__ import annotations

from pydantic import BaseModel

from tasks.series_result import SeriesResult


class InferReport(BaseModel):
    """The results for all series of a source.

    Parameters
    ----------
    release : str
        Name and version of the release that read them.
    readings : list of SeriesResult
        One for each series, ordered by study and series.
    reused, refused : int
        Readings that were there already; series that could not be evaluated.
    undocumented : int
        Readings that lack the DICOM documents that were asked for.
    others : dict
        Skipped series that get no result, by modality: X-rays, plans, reports, localizers.
    kept_out : int
        Erased series: they get no result, because results are stored.
    mixed : tuple of str
        A sentence for each series that is real where the workspace has synthetic images of its UID, or the other way
        round: what is there stays.
    embedded_release : bool
        Whether the release is the one that ships with lidcflow.
    """

    release: str
    synthetic_release: bool
    readings: list[SeriesResult]
    reused: int
    refused: int
    others: dict[str, int] = {}
    kept_out: int = 0
    mixed: tuple[str, ...] = ()
    embedded_release: bool = False
    seconds: float
    undocumented: int = 0
    notice: str = "Research use only."
