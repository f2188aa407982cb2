"""Warnings and notes on a series: every page, document and terminal line takes them from here."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from pydantic import Field

from lidcflow.part import Part
from lidcflow.report import wording
from lidcflow.report.recommendation import Recommendation, SeriesWarning, Verdict

CALIBRATION_HOLDS = frozenset(
    {
        "not-compared",
        "no-sector-models",
        "no-candidates",
        "no-lungs",
        "no-candidates-in-few-slices",
        "candidates-failed",
        "blank-slices",
        "partly-blank-slices",
    }
)
"""Codes of warnings that leave the probabilities of what was read as they are."""

CALIBRATION_IN_DOUBT = frozenset(
    {
        "unlike-training-slice-spacing",
        "unlike-training-slice-thickness",
        "unlike-training-field-of-view",
        "unlike-training-scan-length",
        "unlike-training-kvp",
        "unlike-training-manufacturer",
        "unlike-training-kernel",
        "unlike-training-hu",
        "unlike-training-features",
        "unlike-training-heights",
        "upside-down",
        "probabilities-widened",
        "sector-models-left-out",
        "incomplete-lungs",
        "implausible-values",
    }
)
"""Codes of warnings after which a probability is a rough figure; a code of neither set counts as one of these."""

LOWEST, HIGHEST = 0.1, 0.9
"""Bounds of a rough probability: beyond them it would claim to be nearly certain."""

_MAY_NOT_HOLD = "The probabilities may not hold for this series"
_TITLES = {
    "nothing-above-threshold": "Nothing above the threshold",
    "not-evaluated": "Not evaluated",
}
_CAVEATS = {
    "nothing-above-threshold": "That does not say that there is none",
    "not-evaluated": "No slice was read: this says nothing for or against a nodule",
}


class Notice(Part):
    """Something that a reader must know first."""

    title: str
    text: str

    def __str__(self) -> str:
        return f"{self.title} – {self.text}"


SYNTHETIC_IMAGES = Notice(title="SYNTHETIC", text="images of a phantom, not of a patient")
SYNTHETIC_RELEASE = Notice(title="Trained on synthetic CT", text="this release’s figures say nothing about patients")


class Told(Part):
    """The warnings and notes on a series, and the format of its probabilities."""

    notices: tuple[Notice, ...] = Field((), description="that images or training are synthetic")
    warnings: tuple[str, ...] = Field((), description="sentences, in the order of the recommendation's warnings")
    doubt: str | None = Field(None, description="what the warnings mean for the probabilities, a sentence")
    title: str = Field("", description="the answer in a few words")
    reason: str | None = Field(None, description="why the series was not evaluated, a sentence")
    caveat: str | None = Field(None, description="what the answer does not say")
    rough: bool = Field(False, description="whether probabilities are written in tens of percent, from 10 to 90 %")

    def probability(self, probability: float) -> float:
        """Return a probability as exactly as justified: in tenths, from 0.1 to 0.9, where it is in doubt."""
        return min(HIGHEST, max(LOWEST, round(probability, 1))) if self.rough else probability

    def percent(self, probability: float) -> str:
        """Format a probability in percent, without claiming certainty.

        Examples
        --------
        >>> [Told(rough=rough).percent(0.9996) for rough in (False, True)]
        ['>99%', '>90%']
        """
        return f"{self._bound(probability)}{wording.percent(self.probability(probability))}"

    def chance(self, probability: float) -> str:
        """Format a probability as a number, without claiming certainty.

        Examples
        --------
        >>> [Told(rough=rough).chance(0.42) for rough in (False, True)]
        ['0.42', '~0.4']
        """
        if not self.rough:
            return wording.chance(probability)
        return f"{self._bound(probability)}{self.probability(probability):.1f}"

    def _bound(self, probability: float) -> str:
        if not self.rough:
            return ""
        return ">" if probability > HIGHEST else "<" if probability < LOWEST else "~"


def told_of(said: Recommendation) -> Told:
    """Return the warnings and notes on a recommendation.

    Parameters
    ----------
    said : Recommendation
        Of one series, of any verdict.
    """
    rough = is_rough(said.warnings)
    return Told(
        notices=tuple(_notices(said)),
        warnings=tuple(one.sentence for one in said.warnings),
        doubt=_doubt(said.warnings, rough=rough),
        title=_title(said.verdict, len(said.findings), len(said.ranges)),
        reason=said.reason.sentence if said.reason else None,
        caveat=_CAVEATS.get(said.verdict),
        rough=rough,
    )


def is_rough(warnings: Collection[SeriesWarning]) -> bool:
    """Return whether the probabilities of a series are in doubt.

    Examples
    --------
    >>> is_rough([SeriesWarning(code="no-lungs", sentence="")])
    False
    """
    return any(one.code not in CALIBRATION_HOLDS for one in warnings)


class Glance(NamedTuple):
    """The summary of one series in a list."""

    warnings: int
    highest: str


def glance_of(warnings: Collection[SeriesWarning], highest: float | None) -> Glance:
    """Return how many warnings a series has, and its highest P(nodule) as text.

    Parameters
    ----------
    warnings : collection of SeriesWarning
        Of the series.
    highest : float, optional
        None of a series that was not read.
    """
    told = Told(rough=is_rough(warnings))
    return Glance(len(warnings), "" if highest is None else told.percent(highest))


def _notices(said: Recommendation) -> Iterator[Notice]:
    if said.synthetic:
        yield SYNTHETIC_IMAGES
    elif said.release.synthetic:
        yield SYNTHETIC_RELEASE


def _doubt(warnings: Collection[SeriesWarning], *, rough: bool) -> str | None:
    if not warnings:
        return None
    return f"{_MAY_NOT_HOLD}: they are rounded to tens of percent." if rough else f"{_MAY_NOT_HOLD}."


def _title(verdict: Verdict, findings: int, ranges: int) -> str:
    if verdict != "ranges":
        return _TITLES[verdict]
    if findings:
        return f"Look at {findings} {'finding' if findings == 1 else 'findings'}"
    return f"Look at {ranges} slice {'range' if ranges == 1 else 'ranges'}"
