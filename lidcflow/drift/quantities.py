"""The quantities that are watched: each with both groups of patients on one support."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lidcflow.drift.measures import HU_EDGES, NUMBERS, WORDS, Measured
from lidcflow.drift.profile import Profile
from lidcflow.drift.record import Side
from lidcflow.volume.sectors import sector_slices

SCORE_EDGES = np.linspace(0, 1, 101)
UNTOLD = "not told"

Rows = NDArray[np.float64]
Patients = Sequence[int] | Sequence[str]
Values = tuple[Sequence[Any], Patients]
"""A number or a word of each series, or None, and its patient."""


@dataclass(frozen=True, eq=False)
class Recent:
    """Measures of recent inference.

    Parameters
    ----------
    patients : sequence of str
        Patient key of each series.
    measured : sequence of Measured
        The series.
    scored_patients : sequence of str
        Patient key of each series that the release itself read.
    scores : (series, slices) array
        P(nodule) of those.
    malignant : (series,) array, optional
        The highest P(malignant) of a slice of those.
    synthetic : bool
        Whether any of the series is a phantom.
    not_evaluated, without_volume : int
        Series that are not compared, see `lidcflow.drift.record.DriftCheck`.
    """

    patients: Sequence[str]
    measured: Sequence[Measured]
    scored_patients: Sequence[str]
    scores: Rows
    malignant: NDArray[np.float64] | None = None
    synthetic: bool = False
    not_evaluated: int = 0
    without_volume: int = 0


@dataclass(frozen=True, eq=False)
class Quantity:
    """One quantity of both groups, a row of shares for each patient.

    Parameters
    ----------
    support : (values,) array, or tuple of str
        Numbers ascending, or words.
    reference, now : (patients, values) arrays
        Of the release's patients, and of those read lately.
    """

    key: str
    name: str
    side: Side
    support: NDArray[np.float64] | tuple[str, ...]
    reference: Rows
    now: Rows

    @property
    def numbers(self) -> NDArray[np.float64] | None:
        """The support if it is ordered."""
        return None if isinstance(self.support, tuple) else self.support


def quantities(profile: Profile, recent: Recent, *, sector_num: int, threshold: float) -> Iterator[Quantity]:
    """Yield every quantity: of the inputs first, then of the outputs.

    Parameters
    ----------
    profile : Profile
        Of the release.
    recent : Recent
        What was read lately.
    sector_num : int
        Sectors of the release.
    threshold : float
        P(nodule) from which the release recommends a slice.
    """
    for key, name in NUMBERS.items():
        then, now = profile.numbers[key], [one.numbers[key] for one in recent.measured]
        yield _of_numbers(key, name, "input", (then, profile.patients), (now, recent.patients))
    for key, name in WORDS.items():
        then_words, now_words = profile.words[key], [one.words[key] for one in recent.measured]
        yield _of_words(key, name, "input", (then_words, profile.patients), (now_words, recent.patients))
    hu = np.array([one.hu for one in recent.measured]).reshape(-1, len(HU_EDGES) - 1)
    reference = per_patient(profile.hu.array, profile.patients)
    yield Quantity("hu", "HU histogram", "input", centres(HU_EDGES), reference, per_patient(hu, recent.patients))
    yield from _outputs(profile, recent, sector_num, threshold)


def per_patient(rows: Rows, patients: Patients) -> Rows:
    """Average the rows of each patient's series.

    Examples
    --------
    >>> per_patient(np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]), ["a", "a", "b"])
    array([[0.5, 0.5],
           [0. , 1. ]])
    """
    _, index, counts = np.unique(np.asarray(patients), return_inverse=True, return_counts=True)
    sums = np.zeros((len(counts), rows.shape[1]))
    np.add.at(sums, index, rows)
    return sums / counts[:, None]


def centres(edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the middle of each bin."""
    return (edges[:-1] + edges[1:]) / 2


def _outputs(profile: Profile, recent: Recent, sector_num: int, threshold: float) -> Iterator[Quantity]:
    then, now = profile.scores.array, recent.scores.reshape(-1, profile.scores.shape[1])
    then_patients, now_patients = profile.held_out_patients, recent.scored_patients
    for sector, slices in enumerate(sector_slices(then.shape[1], sector_num), start=1):
        inside = slice(slices.start, slices.stop)
        yield Quantity(
            key=f"score-{sector:02d}",
            name=f"P(nodule), sector {sector}",
            side="output",
            support=centres(SCORE_EDGES),
            reference=per_patient(_score_rows(then[:, inside]), then_patients),
            now=per_patient(_score_rows(now[:, inside]), now_patients),
        )
    if profile.malignant is not None and recent.malignant is not None:
        yield Quantity(
            key="malignant",
            name="highest P(malignant) of a slice",
            side="output",
            support=centres(SCORE_EDGES),
            reference=per_patient(_score_rows(profile.malignant.array[:, None]), then_patients),
            now=per_patient(_score_rows(recent.malignant[:, None]), now_patients),
        )
    above, above_now = then >= threshold, now >= threshold
    shares, shares_now = (_shares(above), then_patients), (_shares(above_now), now_patients)
    yield _of_numbers("above", "share of slices above the threshold", "output", shares, shares_now)
    verdicts, verdicts_now = (_verdicts(above), then_patients), (_verdicts(above_now), now_patients)
    yield _of_words("verdict", "verdict", "output", verdicts, verdicts_now)


def _shares(above: NDArray[np.bool_]) -> list[Any]:
    return list(np.round(above.mean(axis=1), 6).tolist())


def _verdicts(above: NDArray[np.bool_]) -> list[Any]:
    return list(np.where(above.any(axis=1), "ranges", "nothing above threshold").tolist())


def _score_rows(scores: Rows) -> Rows:
    """Return the share of a series' slices in each bin of `SCORE_EDGES`."""
    bins = np.clip(np.digitize(scores, SCORE_EDGES) - 1, 0, len(SCORE_EDGES) - 2)
    return np.stack([(bins == one).mean(axis=1) for one in range(len(SCORE_EDGES) - 1)], axis=1)


def _of_numbers(key: str, name: str, side: Side, reference: Values, now: Values) -> Quantity:
    """Leave out series whose headers lack the number."""
    told = sorted({value for values, _ in (reference, now) for value in values if value is not None})
    rows = [_one_hot(values, who, told) for values, who in (reference, now)]
    return Quantity(key, name, side, np.array(told, dtype=np.float64), *rows)


def _of_words(key: str, name: str, side: Side, reference: Values, now: Values) -> Quantity:
    """Treat an empty header value as a word of its own."""
    spelled = [([word or UNTOLD for word in words], who) for words, who in (reference, now)]
    words = sorted({word for group, _ in spelled for word in group})
    rows = [_one_hot(group, who, words) for group, who in spelled]
    return Quantity(key, name, side, tuple(words), *rows)


def _one_hot(values: Sequence[Any], patients: Sequence[Any], support: Sequence[Any]) -> Rows:
    told = [(value, who) for value, who in zip(values, patients, strict=True) if value is not None]
    rows = np.zeros((len(told), len(support)))
    rows[np.arange(len(told)), [support.index(value) for value, _ in told]] = 1
    return per_patient(rows, [who for _, who in told])
