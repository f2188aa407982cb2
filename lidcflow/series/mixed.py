"""Keep synthetic and real images with one SeriesInstanceUID apart: phantoms carry the UIDs of real series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from lidcflow.dicom.records import VerdictReason
from lidcflow.series.verdicts import Index, Verdict


def without_mixed(index: Index, synthetic: Mapping[str, bool]) -> Index:
    """Refuse series whose UID a workspace knows from images of the other kind.

    A series that is refused anyway is refused for this instead: its answer would replace that on the other images.

    Parameters
    ----------
    index : Index
        Of a source.
    synthetic : mapping of str to bool
        Whether the images that the workspace has of a SeriesInstanceUID are synthetic; other series are new to it.

    Returns
    -------
    Index
        The same where none is of the other kind.
    """
    return replace(index, verdicts=tuple(_judged(verdict, synthetic) for verdict in index)) if synthetic else index


def mixed_series(index: Index) -> tuple[Verdict, ...]:
    """Return the verdicts on series that were refused for this."""
    return tuple(verdict for verdict in index if verdict.reason is VerdictReason.SYNTHETIC_AND_REAL)


def _judged(verdict: Verdict, synthetic: Mapping[str, bool]) -> Verdict:
    uid = verdict.series_instance_uid
    if verdict.synthetic is None or synthetic.get(uid, verdict.synthetic) == verdict.synthetic or verdict.passed_over:
        return verdict
    here, new = _KINDS[verdict.synthetic]
    sentence = (
        f"series {uid}: must not be synthetic and real in one workspace, got {new} images where the workspace has "
        f"{here} ones with this UID; use another workspace, or erase the series here: `lidcflow erase --series {uid}`, "
        "then `--forget` its key"
    )
    study = verdict.series.study_instance_uid if verdict.series else verdict.study_instance_uid
    return replace(
        verdict, reason=VerdictReason.SYNTHETIC_AND_REAL, sentence=sentence, series=None, study_instance_uid=study
    )


_KINDS = {False: ("synthetic", "real"), True: ("real", "synthetic")}
