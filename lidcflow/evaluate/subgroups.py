"""The release in parts of the studies and of the nodules, small parts marked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lidcflow.evaluate.record import Subgroup
from lidcflow.evaluate.review import found_by_rank, patients_of_nodules, review_figures
from lidcflow.evaluate.slice_metrics import Rows, slice_figures
from lidcflow.evaluate.truth import Finding, HeldOutStudies
from lidcflow.stats.bootstrap import Floats, draw_patients
from lidcflow.volume.sectors import sector_of

FEW_PATIENTS = 5
MOST_VALUES = 8
"""Values of an attribute that get a line of their own; kernels have dozens of names."""

SHOWN = ("auroc_nodule", "auroc_malignant", "sensitivity_at_5", "sensitivity_at_10", "spared_at_95")
UNKNOWN, OTHERS = "not known", "others"

SIZES_MM = ((6.0, "below 6 mm"), (8.0, "6 to below 8 mm"), (np.inf, "8 mm and more"))
"""The limits of the Fleischner Society's guidelines of 2017."""

THICKNESSES_MM = ((1.25, "up to 1.25 mm"), (2.0, "over 1.25 to 2 mm"), (np.inf, "over 2 mm"))


def subgroups(
    truth: HeldOutStudies, probabilities: Floats, *, sector_num: int, seed: int, resamples: int
) -> tuple[Subgroup, ...]:
    """Measure the release in each subgroup, with patients of the subgroup drawn for the intervals.

    Parameters
    ----------
    truth : HeldOutStudies
        The studies.
    probabilities : (studies, slices, 3) array
        Of the release.
    sector_num, seed, resamples : int
        Sectors of the release; of the bootstrap.
    """

    def draws_of(patients: int) -> Floats:
        return draw_patients(patients, seed=seed, resamples=resamples)

    of_studies = [
        _of_studies(of, name, chosen, truth, probabilities, draws_of)
        for of, values in _study_values(truth.acquisitions).items()
        for name, chosen in _groups(values)
    ]
    found = found_by_rank(probabilities[..., 1:].sum(axis=-1), truth.findings)
    patients = patients_of_nodules(truth.patients, truth.findings)
    of_nodules = [
        _of_nodules(of, name, found[chosen], patients[chosen], draws_of)
        for of, values in _nodule_values(truth, sector_num).items()
        for name, chosen in _groups(values)
    ]
    return (*of_studies, *of_nodules)


def _study_values(acquisitions: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    def values(key: str) -> list[Any]:
        return [acquisition.get(key) for acquisition in acquisitions]

    contrast = {True: "with", False: "without", None: UNKNOWN}
    return {
        "slice thickness": [_thickness(value) for value in values("slice_thickness_mm")],
        "manufacturer": _common([str(value or UNKNOWN) for value in values("manufacturer")]),
        "kernel": _common([str(value or UNKNOWN) for value in values("kernel")]),
        "contrast": [contrast[value] for value in values("contrast")],
    }


def _nodule_values(truth: HeldOutStudies, sector_num: int) -> dict[str, list[str]]:
    findings = [one for nodules in truth.findings for one in nodules]
    sectors = sector_of(truth.labels.shape[1], sector_num)
    return {
        "nodule size": [next(name for end, name in SIZES_MM if one.size_mm < end) for one in findings],
        "readers": [f"{one.readers} reader{'s' * (one.readers != 1)}" for one in findings],
        "sector of the nodule": [f"sector {sectors[_middle(one)]:02d}" for one in findings],
    }


def _thickness(value_mm: float | None) -> str:
    return UNKNOWN if value_mm is None else next(name for end, name in THICKNESSES_MM if value_mm <= end)


def _middle(one: Finding) -> int:
    return sorted(one.slices)[len(one.slices) // 2]


def _common(values: list[str]) -> list[str]:
    often = {value for value, _ in Counter(values).most_common(MOST_VALUES)}
    return [value if value in often else OTHERS for value in values]


def _groups(values: list[str]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield each value and where it is, bins in their own order and what is not known last."""
    order = [name for bins in (SIZES_MM, THICKNESSES_MM) for _, name in bins]
    last = [OTHERS, UNKNOWN]
    for name in sorted(set(values), key=lambda name: (name in last, order.index(name) if name in order else 0, name)):
        yield name, np.array([value == name for value in values])


def _of_studies(
    of: str,
    name: str,
    chosen: NDArray[np.bool_],
    truth: HeldOutStudies,
    probabilities: Floats,
    draws_of: Callable[[int], Floats],
) -> Subgroup:
    keys, patients = np.unique(truth.patients[chosen], return_inverse=True)
    labels, p = truth.labels[chosen], probabilities[chosen]
    findings = [nodules for nodules, inside in zip(truth.findings, chosen, strict=True) if inside]
    draws = draws_of(len(keys))
    rows = Rows.of(p.reshape(-1, 3), labels.ravel(), np.repeat(patients, labels.shape[1]))
    found = found_by_rank(p[..., 1:].sum(axis=-1), findings)
    figures = slice_figures(rows, draws, balanced=False)
    figures |= review_figures(found, patients_of_nodules(patients, findings), draws)
    return Subgroup(
        of=of,
        name=name,
        patients=len(keys),
        series=int(chosen.sum()),
        nodules=len(found),
        small=len(keys) < FEW_PATIENTS,
        figures={key: figures[key] for key in SHOWN if key in figures},
    )


def _of_nodules(
    of: str,
    name: str,
    found: NDArray[np.bool_],
    patients: NDArray[np.int64],
    draws_of: Callable[[int], Floats],
) -> Subgroup:
    keys, patients = np.unique(patients, return_inverse=True)
    figures = review_figures(found, patients, draws_of(len(keys)))
    return Subgroup(
        of=of,
        name=name,
        patients=len(keys),
        series=None,
        nodules=len(found),
        small=len(keys) < FEW_PATIENTS,
        figures={key: figures[key] for key in SHOWN if key in figures},
    )
