"""Make the table of how often slices of LIDC-IDRI hold a nodule at each height of the chest."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np

from lidcflow.labels.slices import LabelRow
from lidcflow.stats.height_prior import height_prior

MEASURED_ON = ("LIDC-IDRI-0001", "LIDC-IDRI-0002", "LIDC-IDRI-0003", "LIDC-IDRI-0006", "LIDC-IDRI-0008")
"""Patients that figures of the embedded release are measured on: the table holds none of their labels."""

DECIMALS = 5


def chest_height_table(rows: Iterable[LabelRow], without: Collection[str] = MEASURED_ON) -> dict[str, Any]:
    """Make the table that ships from the labels of LIDC-IDRI.

    Parameters
    ----------
    rows : iterable of LabelRow
        From `lidcflow.labels.slices.all_label_rows`.
    without : collection of str
        Patients who are left out.

    Returns
    -------
    dict
        The probabilities of the three classes at each height, top first, and what they were counted from.
    """
    counted = [row.labels for row in rows if row.patient_id not in without]
    labels = np.array([[int(digit) for digit in row] for row in counted])
    slices = labels.shape[1]
    table = height_prior(np.tile(np.arange(slices), len(labels)), labels.ravel(), slices)
    return {
        "what": "P(non-nodule), P(benign), P(malignant) of slices of LIDC-IDRI by height, top of the chest first",
        "attribution": "counted from the readings of LIDC-IDRI, The Cancer Imaging Archive, CC BY 3.0",
        "series": len(counted),
        "without": sorted(without),
        "probabilities": table.round(DECIMALS).tolist(),
    }


def table_text(table: dict[str, Any]) -> str:
    """Return the table as the text of its file, a line for each height."""
    rows = ",\n".join(f"    {json.dumps(row)}" for row in table["probabilities"])
    head = json.dumps({**table, "probabilities": []}, indent=2)
    return head.replace('"probabilities": []', f'"probabilities": [\n{rows}\n  ]') + "\n"
