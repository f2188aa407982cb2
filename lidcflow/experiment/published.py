"""Experiments on rated nodules: the systems of publications, their published figures, and what differs here."""

from __future__ import annotations

from dataclasses import dataclass

from lidcflow.stats.estimate import Record


class Published(Record):
    """What a publication reports.

    Attributes
    ----------
    source : str
        Authors, year and DOI.
    figures : dict of str to str
        As published.
    """

    source: str
    figures: dict[str, str]


NODULEX = Published(
    source="NoduleX: Causey JL et al. 2018, Scientific Reports 8: 9286, doi:10.1038/s41598-018-27569-w",
    figures={"AUROC": ".971 to .993", "AUROC, size alone": ".940 to .963"},
)

NIBALI = Published(
    source="Nibali A, He Z, Wollersheim D 2017, Int J CARS 12: 1799-1808, doi:10.1007/s11548-017-1605-6",
    figures={
        "sensitivity": "91.07%",
        "specificity": "88.64%",
        "precision": "89.35%",
        "AUROC": ".9459",
        "accuracy": "89.90%",
    },
)

DATA = "Data: the largest axial slice of each LIDC-IDRI nodule; the publications read volumes of several slices."
SPLIT = (
    "Split: cross-validated by patient over all patients, the same folds for all systems; the publications split "
    "LIDC-IDRI in other ways."
)
TARGET = "Target: the mean of one to four readers' ratings; the publications choose nodules in their own ways."
QIF = "Features: 39 QIF and the diameter in one plane, by a mask from the image alone instead of readers' outlines."


@dataclass(frozen=True)
class NoduleExperiment:
    """An experiment on rated nodules.

    Attributes
    ----------
    question : str
    systems : tuple of str
        What is compared; the first is the reference.
    published : tuple of Published
    differs : tuple of str
        What differs from the publications, a sentence each.
    folds : int
    """

    question: str
    systems: tuple[str, ...]
    published: tuple[Published, ...]
    differs: tuple[str, ...]
    folds: int = 10


NODULE_EXPERIMENTS: dict[str, NoduleExperiment] = {
    "nodulex": NoduleExperiment(
        question="Does a small network on the middle of a nodule join with quantitative image features?",
        systems=("random forest on QIF", "CNN", "CNN and QIF"),
        published=(NODULEX,),
        differs=(
            DATA,
            SPLIT,
            TARGET,
            "Network: 21 x 21 pixels of one slice instead of 21 x 21 x 5; two convolutions and a dense layer, built "
            "after the paper's description, not from its code.",
            QIF,
        ),
        folds=5,
    ),
    "classical": NoduleExperiment(
        question="What do classical systems on quantitative image features reach above size alone?",
        systems=("size alone", "SVM on QIF", "random forest on QIF"),
        published=(NODULEX, NIBALI),
        differs=(
            DATA,
            SPLIT,
            TARGET,
            QIF,
        ),
    ),
}
"""Experiments by name."""
