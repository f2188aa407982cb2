"""What is erased: a patient by keyed hash, a study or a series by UID."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from lidcflow.ct.values import is_uid
from lidcflow.errors import ErasureError

Kind = Literal["patient", "study", "series"]
_PATIENT_KEY = re.compile("[0-9a-f]{16}")


@dataclass(frozen=True, order=True)
class Target:
    """A series of which something is kept; study and patient are None where the place does not tell."""

    series_instance_uid: str
    study_instance_uid: str | None = None
    patient_key: str | None = None


@dataclass(frozen=True)
class Subject:
    """Whose data are erased.

    Parameters
    ----------
    kind : "patient", "study" or "series"
        What `key` names.
    key : str
        Keyed hash from `lidcflow.privacy.patient_key`, or the UID.

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
        """Tell whether a series is of this patient or study, or is this series."""
        named = {
            "patient": target.patient_key,
            "study": target.study_instance_uid,
            "series": target.series_instance_uid,
        }
        return named[self.kind] == self.key


def merged(targets: Iterable[Target]) -> tuple[Target, ...]:
    """Put together what several places tell of the same series, in the order of UIDs."""
    by_uid: dict[str, Target] = {}
    for target in targets:
        known = by_uid.get(target.series_instance_uid, target)
        by_uid[target.series_instance_uid] = Target(
            target.series_instance_uid,
            known.study_instance_uid or target.study_instance_uid,
            known.patient_key or target.patient_key,
        )
    return tuple(by_uid[uid] for uid in sorted(by_uid))
