"""Compare the arms of an experiment: figures with intervals over patients, differences paired over patients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lidcflow.experiment.arm import HELD_OUT, ArmResult, Predictions
from lidcflow.experiment.builtin import Arm
from lidcflow.notice import STATEMENT
from lidcflow.stats.bootstrap import RESAMPLES, drawn_groups, percentile_interval, with_interval
from lidcflow.stats.estimate import Record
from lidcflow.stats.held_out import SLICE_FIGURES

Floats = NDArray[np.float64]
FIGURES: dict[str, Callable[..., float]] = {
    name: SLICE_FIGURES[name]
    for name in ("accuracy", "balanced_accuracy", "auroc_nodule", "auroc_malignant", "log_loss")
}


class Spread(Record):
    """A figure of a configuration: the mean over its seeds, how far they spread, a 95% interval over patients."""

    value: float | None
    low: float | None = None
    high: float | None = None
    seeds_low: float | None = None
    seeds_high: float | None = None


Figures = dict[Literal["training", "validation", "test"], dict[str, Spread]]


class Difference(Record):
    """A configuration less the reference on the test patients; the interval is paired over patients."""

    configuration: str
    figure: str
    value: float | None
    low: float | None
    high: float | None

    @property
    def is_shown(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


class Compared(Record):
    """An arm, or a configuration with all of its seeds.

    Attributes
    ----------
    slices_seen : int
        Training slices times epochs, all sectors together: what the training cost.
    figures : dict
        Of ``training`` the accuracy of the last epoch alone, without interval.
    """

    name: str
    seeds: tuple[int, ...]
    sector_num: int
    size: int
    z_range: str
    input: str
    head: str
    balance: str
    epochs: int
    series: int
    slices_seen: int
    figures: Figures


class Comparison(Record):
    """Results of an experiment."""

    schema_version: Literal["lidcflow.comparison/1"] = "lidcflow.comparison/1"
    experiment: str
    question: str
    reference: str
    patients: dict[Literal["validation", "test"], int]
    configurations: tuple[Compared, ...]
    arms: tuple[Compared, ...]
    differences: tuple[Difference, ...]
    failed: dict[str, str]
    synthetic: bool
    statement: str = STATEMENT


@dataclass(frozen=True, eq=False)
class _Measured:
    """A figure of one arm on the patients and on each draw of them."""

    value: float
    draws: Floats


def compare_arms(
    experiment: str,
    question: str,
    arms: Sequence[tuple[Arm, ArmResult]],
    failed: Mapping[str, str],
    *,
    resamples: int = RESAMPLES,
) -> Comparison:
    """Measure arms on the patients that all of them were held out from, each draw of patients the same for all.

    Parameters
    ----------
    experiment, question : str
        What it is called and is to tell.
    arms : sequence of (Arm, ArmResult)
        Those that are done, at least one; the configuration of the first is the reference.
    failed : mapping of str to str
        Reasons, by the names of the other arms.
    resamples : int
        Draws of the bootstrap.
    """
    common = {split: _common_series([result.held_out[split] for _, result in arms]) for split in HELD_OUT}
    measured: dict[str, dict[str, dict[str, _Measured]]] = {
        arm.name: {split: _measure(result.held_out[split], common[split], resamples) for split in HELD_OUT}
        for arm, result in arms
    }
    groups: dict[str, list[tuple[Arm, ArmResult]]] = {}
    for arm, result in arms:
        groups.setdefault(arm.configuration, []).append((arm, result))
    reference, *others = groups
    test = {name: [measured[arm.name]["test"] for arm, _ in group] for name, group in groups.items()}
    first = arms[0][1].held_out
    return Comparison(
        experiment=experiment,
        question=question,
        reference=reference,
        patients={split: len(_by_patient(first[split], common[split])) for split in HELD_OUT},
        configurations=tuple(_compared(name, group, measured) for name, group in groups.items()),
        arms=tuple(_compared(arm.name, [(arm, result)], measured) for arm, result in arms),
        differences=tuple(
            _difference(name, figure, test[name], test[reference]) for name in others for figure in FIGURES
        ),
        failed=dict(failed),
        synthetic=any(result.synthetic for _, result in arms),
    )


def last_training_accuracy(result: ArmResult) -> float:
    """Return the training accuracy of the last epoch, sectors weighted by their training slices."""
    own = [sector for sector in result.sectors if sector.history]
    if not own:
        return float("nan")
    accuracies = [sector.history["accuracy"][-1] for sector in own]
    return float(np.average(accuracies, weights=[sector.training.total for sector in own]))


def _common_series(predictions: Sequence[Predictions]) -> set[str]:
    return set.intersection(*(set(one.series) for one in predictions))


def _by_patient(predictions: Predictions, series: set[str]) -> dict[str, list[tuple[Floats, NDArray[np.int64]]]]:
    """Return the predictions for the slices of each patient, and their labels; patients in order."""
    patients: dict[str, list[tuple[Floats, NDArray[np.int64]]]] = {}
    parts = zip(
        predictions.series, predictions.patient_keys, predictions.probabilities, predictions.labels, strict=True
    )
    for uid, key, probabilities, labels in parts:
        if uid in series:
            patients.setdefault(key, []).append((np.asarray(probabilities), np.asarray(labels)))
    return dict(sorted(patients.items()))


def _measure(predictions: Predictions, series: set[str], resamples: int) -> dict[str, _Measured]:
    """Compute the figures on all patients, and on draws of them that depend on their number alone."""
    patients = list(_by_patient(predictions, series).values())
    if not patients:
        return {name: _Measured(float("nan"), np.full(resamples, np.nan)) for name in FIGURES}
    whole = _figures(patients)
    if len(patients) < 2:
        return {name: _Measured(value, np.full(resamples, np.nan)) for name, value in whole.items()}
    drawn = [_figures(draw) for draw in drawn_groups(patients, 0, resamples)]
    return {name: _Measured(whole[name], np.array([figures[name] for figures in drawn])) for name in FIGURES}


def _figures(patients: Sequence[list[tuple[Floats, NDArray[np.int64]]]]) -> dict[str, float]:
    probabilities, labels = (np.concatenate(part) for part in zip(*(one for of in patients for one in of), strict=True))
    return {name: figure(probabilities, labels) for name, figure in FIGURES.items()}


def _compared(
    name: str, group: Sequence[tuple[Arm, ArmResult]], measured: Mapping[str, dict[str, dict[str, _Measured]]]
) -> Compared:
    config, result = group[0][0].config, group[0][1]
    figures: Figures = {"training": {"accuracy": _spread([last_training_accuracy(one) for _, one in group])}}
    for split in HELD_OUT:
        of_seeds = [measured[arm.name][split] for arm, _ in group]
        figures[split] = {figure: _spread_of([one[figure] for one in of_seeds]) for figure in FIGURES}
    return Compared(
        name=name,
        seeds=tuple(arm.config.train.seed for arm, _ in group),
        series=result.series,
        slices_seen=_slices_seen(result),
        figures=figures,
        **config.train.model_dump(include={"sector_num", "input", "head", "balance", "epochs"}),
        **config.preprocess.model_dump(include={"size", "z_range"}),
    )


def _slices_seen(result: ArmResult) -> int:
    return sum(len(sector.history.get("loss", ())) * sector.training.total for sector in result.sectors)


def _spread_of(seeds: Sequence[_Measured]) -> Spread:
    values = [one.value for one in seeds]
    found = with_interval(float(np.mean(values)), percentile_interval(_mean_draws(seeds)))
    return _spread(values).model_copy(update={"low": found.low, "high": found.high})


def _spread(values: Sequence[float]) -> Spread:
    if not np.isfinite(values).all():
        return Spread(value=None)
    return Spread(value=float(np.mean(values)), seeds_low=min(values), seeds_high=max(values))


def _difference(
    name: str, figure: str, own: Sequence[dict[str, _Measured]], reference: Sequence[dict[str, _Measured]]
) -> Difference:
    ours, theirs = [one[figure] for one in own], [one[figure] for one in reference]
    value = np.mean([one.value for one in ours]) - np.mean([one.value for one in theirs])
    found = with_interval(float(value), percentile_interval(_mean_draws(ours) - _mean_draws(theirs)))
    return Difference(configuration=name, figure=figure, value=found.value, low=found.low, high=found.high)


def _mean_draws(seeds: Sequence[_Measured]) -> Floats:
    return np.asarray(np.mean([one.draws for one in seeds], axis=0))
