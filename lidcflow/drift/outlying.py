"""Find a series that is unlike those its release was trained on; the answer stays, with a warning to it.

Limits come from the training series themselves, each measured against those of other patients. Few of them tell
little of what the next one may be like: ranges have a margin, and limits of distances are prediction limits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from lidcflow.drift.distance import coordinates
from lidcflow.drift.measures import HU_EDGES, NUMBERS, TURNED, WORDS, Heights, Measured
from lidcflow.drift.profile import Profile
from lidcflow.drift.quantities import centres
from lidcflow.report.recommendation import SeriesWarning

FALSE_WARNINGS, DISTANCES = 0.01, 3
"""Share of series like those of training that a distance may warn of, and the distances that share it: of HU, features
and heights."""

QUANTILE = 1 - FALSE_WARNINGS / DISTANCES
"""Probability that the next series like those of training lies within the limit of a distance."""

MARGIN = 1.1
"""Factor by which a number may pass what training has seen."""

NEIGHBOURS = 3
FEWEST = 8
"""Training series that a limit of distances takes."""

FEW = 0.02
"""Share of training series that may look upside down; with more, the warning is switched off."""

KNOWN_WORDS = ("manufacturer", "kernel")
"""Attributes that must occur in training; new models of a manufacturer are left to drift."""

LIMITED = ("slice_spacing_mm", "slice_thickness_mm", "field_of_view_mm", "scan_length_mm", "kvp")
"""Numbers that must be like those of training; the pixel spacing follows the field of view, all a network sees."""

NO_PROFILE = SeriesWarning(
    code="not-compared",
    sentence="The release keeps no profile of its training series: whether this one is like them was not checked; "
    "`lidcflow drift` makes one.",
)

_TINY = 1e-6


@dataclass(frozen=True, eq=False)
class ReferenceLimits:
    """A profile made ready: what training has seen, and how far a series may be from it.

    Parameters
    ----------
    ranges : dict
        Lowest and highest of each number.
    words : dict
        Those of each key of `KNOWN_WORDS`.
    hu, features : (series, d) arrays
        Training series, placed so that distances mean something.
    scale : (d,) array
        Standard deviation of each feature.
    hu_limit, feature_limit : float
        Distances beyond which a series is unlike training.
    heights : Heights, optional
        Lung and bone along the height of the training series.
    heights_limit, turned_limit : float
        Of its distance, and from which factor on a series counts as upside down.
    """

    ranges: dict[str, tuple[float, float]]
    words: dict[str, frozenset[str]]
    hu: NDArray[np.float64]
    features: NDArray[np.float64]
    scale: NDArray[np.float64]
    hu_limit: float
    feature_limit: float
    heights: Heights | None
    heights_limit: float
    turned_limit: float


def reference_limits(profile: Profile) -> ReferenceLimits:
    """Derive limits from a profile; patients are the unit, so a series is measured against those of others."""
    hu = coordinates(profile.hu.array, centres(HU_EDGES))
    features, patients = profile.features.array, np.asarray(profile.patients)
    scale = np.maximum(features.std(axis=0), _TINY)
    others = [patients != patient for patient in patients]
    own = [_from_mean(hu[i], hu[other]) for i, other in enumerate(others) if other.any()]
    near = [_nearest(features[i], features[other], scale) for i, other in enumerate(others) if other.any()]
    heights = None if profile.heights is None else profile.heights.array
    along, turned = _along_height(heights, others) if heights is not None else ([], [])
    return ReferenceLimits(
        ranges={key: told for key in LIMITED if (told := _range(profile.numbers[key]))},
        words={key: frozenset(word for word in profile.words[key] if word is not None) for key in KNOWN_WORDS},
        hu=hu,
        features=features,
        scale=scale,
        hu_limit=_limit(own),
        feature_limit=_limit(near),
        heights=None if heights is None else Heights.of(heights),
        heights_limit=_limit(along),
        turned_limit=TURNED if _share_above(turned, TURNED) <= FEW else float("inf"),
    )


def warnings_of(
    measured: Measured, mean_features: NDArray[np.floating], known: ReferenceLimits
) -> tuple[SeriesWarning, ...]:
    """Return a plain sentence for everything in which a series is unlike training; none for most.

    Parameters
    ----------
    measured : Measured
        The series.
    mean_features : (d,) array
        Its features, averaged over the slices.
    known : ReferenceLimits
        What the release was trained on.
    """
    return (
        *_unlike_numbers(measured, known),
        *_unseen_words(measured, known),
        *_far(measured, mean_features, known),
        *_elsewhere(measured, known),
    )


def unlike_code(key: str) -> str:
    """Return the code of the warning about a measure of `LIMITED` or `KNOWN_WORDS`.

    Examples
    --------
    >>> unlike_code("slice_spacing_mm")
    'unlike-training-slice-spacing'
    """
    return f"unlike-training-{key.removesuffix('_mm').replace('_', '-')}"


def distance_ratio(measured: Measured, mean_features: NDArray[np.floating], known: ReferenceLimits) -> float:
    """Return how many times as far as a series may be from those of training this one is.

    It is above 1 exactly where `warnings_of` warns of its HU or its features.

    Parameters
    ----------
    measured, mean_features, known
        As of `warnings_of`.

    Returns
    -------
    float
        The larger ratio of the distances of its HU and of its features to their limits; 0 where neither has a limit.
    """
    return max(
        _from_training(measured, known) / known.hu_limit, _from_nearest(mean_features, known) / known.feature_limit
    )


def _unlike_numbers(measured: Measured, known: ReferenceLimits) -> Iterator[SeriesWarning]:
    for key, (low, high) in known.ranges.items():
        value = measured.numbers[key]
        if value is not None and not low / MARGIN <= value <= high * MARGIN:
            name, unit = NUMBERS[key].split(", ")
            seen = f"{low:g}" if low == high else f"{low:g} to {high:g}"
            yield SeriesWarning(
                code=unlike_code(key),
                sentence=f"The {name} is {value:g} {unit}; the release was trained on {seen} {unit}.",
            )


def _unseen_words(measured: Measured, known: ReferenceLimits) -> Iterator[SeriesWarning]:
    for key, seen in known.words.items():
        word = measured.words[key]
        if word is not None and seen and word not in seen:
            yield SeriesWarning(
                code=unlike_code(key),
                sentence=f"The release was trained on no series with the {WORDS[key]} {word}.",
            )


def _far(measured: Measured, mean_features: NDArray[np.floating], known: ReferenceLimits) -> Iterator[SeriesWarning]:
    hu = _from_training(measured, known)
    if hu > known.hu_limit:
        yield SeriesWarning(
            code="unlike-training-hu",
            sentence=f"Its radiodensities are {hu:.0f} HU from those of training on average, where series of training "
            f"keep within {known.hu_limit:.0f} HU: another part of the body, rescaled values or metal may be why.",
        )
    features = _from_nearest(mean_features, known)
    if features > known.feature_limit:
        yield SeriesWarning(
            code="unlike-training-features",
            sentence=f"To the network it looks unlike any series of training: its features are {features:.2f} from the "
            f"nearest ones, where series of training keep within {known.feature_limit:.2f}.",
        )


def _elsewhere(measured: Measured, known: ReferenceLimits) -> Iterator[SeriesWarning]:
    """Yield a warning if lungs and bones lie elsewhere along the height, or as in a series turned upside down."""
    if known.heights is None or np.isinf(known.heights_limit):
        return
    turned_is_like = known.heights.distance(measured.heights[:, ::-1]) <= known.heights_limit
    if turned_is_like and known.heights.turned(measured.heights) > known.turned_limit:
        yield SeriesWarning(
            code="upside-down",
            sentence="Lungs and bones lie along its height as in series of training that are turned upside down: "
            "its slices may be in the wrong order.",
        )
    elif (distance := known.heights.distance(measured.heights)) > known.heights_limit:
        yield SeriesWarning(
            code="unlike-training-heights",
            sentence="Its lungs and bones lie along its height otherwise than in training "
            f"({distance:.1f}, where series of training keep within {known.heights_limit:.1f}): it may show a part "
            "of the chest, or more than it.",
        )


def _along_height(heights: NDArray[np.float64], others: list[NDArray[np.bool_]]) -> tuple[list[float], list[float]]:
    """Measure each training series against those of other patients: its distance, and as upside down."""
    of_others = [(one, Heights.of(heights[other])) for one, other in zip(heights, others, strict=True) if other.any()]
    return [known.distance(one) for one, known in of_others], [known.turned(one) for one, known in of_others]


def _share_above(values: list[float], limit: float) -> float:
    return sum(value > limit for value in values) / max(1, len(values))


def _range(values: tuple[float | None, ...]) -> tuple[float, float] | None:
    told = [value for value in values if value is not None]
    return (min(told), max(told)) if told else None


def _from_training(measured: Measured, known: ReferenceLimits) -> float:
    """Return the distance in HU of a series from training."""
    return _from_mean(coordinates(measured.hu[None], centres(HU_EDGES))[0], known.hu)


def _from_nearest(mean_features: NDArray[np.floating], known: ReferenceLimits) -> float:
    """Return the distance of a series' features from the nearest of training."""
    return _nearest(np.asarray(mean_features, dtype=np.float64), known.features, known.scale)


def _from_mean(one: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    """Return the Wasserstein distance in HU from the mean histogram."""
    return float(np.abs(one - others.mean(axis=0)).sum())


def _nearest(one: NDArray[np.float64], others: NDArray[np.float64], scale: NDArray[np.float64]) -> float:
    """Return the mean distance from the nearest `NEIGHBOURS`, in standard deviations of a feature."""
    squared = (((others - one) / scale) ** 2).mean(axis=1)
    nearest = min(NEIGHBOURS, len(squared))
    return float(np.sqrt(np.partition(squared, nearest - 1)[:nearest]).mean())


def _limit(distances: list[float]) -> float:
    """Return the upper prediction limit of log-normal distances, and at least what training itself keeps.

    References
    ----------
    Hahn & Meeker, "Statistical Intervals", section 4.8: one future observation.
    """
    if len(distances) < FEWEST:
        return float("inf")
    logs = np.log(np.maximum(distances, _TINY))
    n = len(logs)
    reach = float(stdtrit(n - 1, QUANTILE)) * logs.std(ddof=1) * np.sqrt(1 + 1 / n)
    return max(float(np.exp(logs.mean() + reach)), float(np.quantile(distances, QUANTILE, method="higher")))
