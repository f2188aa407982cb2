"""Subject of an erasure: a patient by keyed hash, a study or a series by UID."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from lidcflow.dicom.values import is_uid, series_name
from lidcflow.errors import ErasureError

Kind = Literal["patient", "study", "series"]
_PATIENT_KEY = re.compile("[0-9a-f]{16}")


@dataclass(frozen=True, order=True)
class Target:
    """A series of which something is kept, by the name that verdicts give it.

    Study and patient are None where the place does not tell; what stands in a header in place of a UID tells nothing.
    """

    series_instance_uid: str
    study_instance_uid: str | None = None
    patient_key: str | None = None

    @classmethod
    def of(cls, series: str, study: str | None = None, patient_key: str | None = None) -> Target:
        """Make a target of a value from a header or a database, whatever it is."""
        return cls(series_name(series), study if study and is_uid(study) else None, patient_key or None)


@dataclass(frozen=True, order=True)
class Subject:
    """Whose data are erased.

    Parameters
    ----------
    kind : "patient", "study" or "series"
        What `key` names.
    key : str
        Keyed hash from `lidcflow.privacy.hash_patient_id`, or the UID.

    Raises
    ------
    ErasureError
        If the key is not of its kind.

    Examples
    --------
    >>> Subject("series", "1.2.3").covers(Target("1.2.3"))
    True
    """

    kind: Kind
    key: str

    def __post_init__(self) -> None:
        if self.kind == "patient" and not _PATIENT_KEY.fullmatch(self.key):
            raise ErasureError(
                "erase: a patient's key must be 16 hexadecimal digits, got another text; "
                "`lidcflow index SRC --json` lists keys, and --patient-id takes the PatientID itself"
            )
        if self.kind != "patient" and not is_uid(self.key):
            raise ErasureError(f"erase: a {self.kind} must be named by its UID of digits and dots; check the UID")

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"

    def covers(self, target: Target) -> bool:
        """Return whether a series is of this patient or study, or is this series."""
        named = {
            "patient": target.patient_key,
            "study": target.study_instance_uid,
            "series": target.series_instance_uid,
        }
        return named[self.kind] == self.key


def covered(subject: Subject, known: Collection[Target]) -> list[Target]:
    """Return the series of a subject among all that is known of any series.

    A place that does not tell the patient is completed by others: by what they say of the series, and of its study.

    Examples
    --------
    >>> known = [Target("1.1", "1", "0123456789abcdef"), Target("1.2", "1"), Target("1.3")]
    >>> [target.series_instance_uid for target in covered(Subject("patient", "0123456789abcdef"), known)]
    ['1.1', '1.2']
    """
    direct = {target.series_instance_uid for target in known if subject.covers(target)}
    if subject.kind == "patient":
        named = {target.series_instance_uid for target in known if target.patient_key}
        studies = {target.study_instance_uid for target in known if target.series_instance_uid in direct} - {None}
        beside = [target for target in known if target.study_instance_uid in studies]
        direct |= {target.series_instance_uid for target in beside} - named
    return list(merged(target for target in known if target.series_instance_uid in direct))


def unowned(known: Collection[Target]) -> list[str]:
    """Return the series whose patient and study are unknown in every place."""
    owned = {target.series_instance_uid for target in known if target.patient_key or target.study_instance_uid}
    return sorted({target.series_instance_uid for target in known} - owned)


def merged(targets: Iterable[Target]) -> tuple[Target, ...]:
    """Combine the facts of several places about the same series, in the order of UIDs."""
    by_uid: dict[str, Target] = {}
    for target in targets:
        known = by_uid.get(target.series_instance_uid, target)
        by_uid[target.series_instance_uid] = Target(
            target.series_instance_uid,
            known.study_instance_uid or target.study_instance_uid,
            known.patient_key or target.patient_key,
        )
    return tuple(by_uid[uid] for uid in sorted(by_uid))
