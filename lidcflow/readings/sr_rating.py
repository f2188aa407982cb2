"""What counts as a malignancy rating among the items of a measurement group."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from pydicom.dataset import Dataset

from lidcflow.readings.table import CLASS_RATINGS

NAMES = {("rid36042", "radlex"), ("900", "99lidcqiicr")}
"""Concepts that mean malignancy: the two that the public conversions of LIDC-IDRI to DICOM wrote."""

MEANING = "malignancy"
"""Any other concept counts by its meaning: there is no standard code for a rating of 1 to 5."""

VALUES = {("21594007", "sct"): CLASS_RATINGS["malignant"], ("30807003", "sct"): CLASS_RATINGS["benign"]} | {
    (f"90{rating}", "99lidcqiicr"): float(rating) for rating in range(1, 6)
}
OUT_OF_5 = re.compile(r"([1-5]) out of 5\b")


def rating_of(items: Iterable[Dataset]) -> float | None:
    """Return the malignancy among the content items of a measurement group.

    Parameters
    ----------
    items : iterable of Dataset
        Content items; a coded value or a number counts.

    Returns
    -------
    float or None
        None where there is none; not a number where there is one that is not known here.
    """
    for item in items:
        if item.get("ValueType") in ("CODE", "NUM") and _means_malignancy(item):
            return _coded(item) if item.ValueType == "CODE" else _measured(item)
    return None


def _means_malignancy(item: Dataset) -> bool:
    name = item.ConceptNameCodeSequence[0]
    return _code(name) in NAMES or str(name.get("CodeMeaning", "")).strip().lower() == MEANING


def _coded(item: Dataset) -> float:
    value = item.ConceptCodeSequence[0]
    meaning = str(value.get("CodeMeaning", "")).strip().lower()
    if rating := VALUES.get(_code(value)) or CLASS_RATINGS.get(meaning):
        return rating
    told = OUT_OF_5.match(meaning)
    return float(told[1]) if told else math.nan


def _measured(item: Dataset) -> float:
    values = item.get("MeasuredValueSequence") or []
    return float(values[0].NumericValue) if values else math.nan


def _code(concept: Dataset) -> tuple[str, str]:
    return str(concept.get("CodeValue", "")).lower(), str(concept.get("CodingSchemeDesignator", "")).lower()
