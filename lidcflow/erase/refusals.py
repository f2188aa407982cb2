"""Keep what was erased from coming back: its series are refused by the index."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import get_args

from lidcflow.dicom.records import VerdictReason
from lidcflow.dicom.values import is_uid
from lidcflow.erase.subject import Kind, Subject
from lidcflow.headers.header import Header
from lidcflow.series.judge import patient_of
from lidcflow.series.verdicts import Index, Verdict


def without_erased(index: Index, erased: Collection[Subject]) -> Index:
    """Refuse the series of patients, studies and series that were erased.

    Parameters
    ----------
    index : Index
        Of a source.
    erased : collection of Subject
        Whose erasures stand.

    Returns
    -------
    Index
        The same where nothing of it was erased.
    """
    if not erased:
        return index
    standing = frozenset(erased)
    return replace(index, verdicts=tuple(_judged(verdict, standing) for verdict in index))


def recognizes(erased: Collection[Subject], secret: bytes) -> Callable[[Header], bool]:
    """Return a function that returns whether a header is of what was erased, so that it must not be remembered."""
    keys = {kind: frozenset(subject.key for subject in erased if subject.kind == kind) for kind in get_args(Kind)}

    def is_erased(header: Header) -> bool:
        facts = header.facts
        return (
            patient_of(header, secret) in keys["patient"]
            or facts.study_instance_uid in keys["study"]
            or facts.series_instance_uid in keys["series"]
        )

    return is_erased


def erased_uids(index: Index) -> frozenset[str]:
    """Return the series that were refused because they were erased."""
    return frozenset(verdict.series_instance_uid for verdict in index if verdict.reason is VerdictReason.ERASED)


def _judged(verdict: Verdict, erased: frozenset[Subject]) -> Verdict:
    """Refuse a series if any of its files is of what was erased, whatever else is wrong with it."""
    named = {
        *(Subject("patient", key) for key in verdict.patients),
        *(Subject("study", uid) for uid in verdict.studies),
        *([Subject("series", verdict.series_instance_uid)] if is_uid(verdict.series_instance_uid) else []),
    }
    covering = min(named & erased, default=None, key=str)
    return verdict if covering is None else _refused(verdict, covering)


def _refused(verdict: Verdict, subject: Subject) -> Verdict:
    """Return the verdict; its sentence goes into logs and tables, so it names no patient's key."""
    whose = "its patient's data were" if subject.kind == "patient" else f"its {subject.kind} was"
    sentence = (
        f"series {verdict.series_instance_uid}: must not be of what was erased, but {whose}; "
        f"`lidcflow erase --list` lists the {subject.kind}, and `--forget KEY` would let it in again"
    )
    study = verdict.series.study_instance_uid if verdict.series else verdict.study_instance_uid
    return Verdict(
        verdict.series_instance_uid,
        VerdictReason.ERASED,
        sentence,
        verdict.n_files,
        verdict.set_aside,
        study_instance_uid=study,
    )
