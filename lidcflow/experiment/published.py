"""Experiments on rated nodules: the systems of publications, their published figures, and what differs here."""

from __future__ import annotations

from dataclasses import dataclass

from lidcflow.stats.estimate import Record


class Published(Record):
    """Figures reported by a publication.

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
    once : bool
        Whether systems learn a mean of 3 and more once, for all designs, instead of learning each design.
    networks : bool
        Whether a system is a network that Keras trains.
    """

    question: str
    systems: tuple[str, ...]
    published: tuple[Published, ...]
    differs: tuple[str, ...]
    folds: int = 10
    once: bool = False
    networks: bool = True


NODULE_EXPERIMENTS: dict[str, NoduleExperiment] = {
    "nodulex": NoduleExperiment(
        question="Does a small network on the middle of a nodule join with quantitative image features?",
        systems=("random forest on QIF", "CNN", "CNN and QIF"),
        published=(NODULEX,),
        differs=(
            DATA,
            SPLIT,
            TARGET,
            "Network: 21 x 21 pixels of one slice instead of 21 x 21 x 5; two convolutions and a dense layer of "
            "lidcflow's own choice, not the published layers.",
            QIF,
        ),
        folds=5,
    ),
    "triplanar": NoduleExperiment(
        question="Which start helps a small residual network on the axial plane, and does a curriculum?",
        systems=(
            "from nothing",
            "from nothing, curriculum",
            "from the detector",
            "from the detector, curriculum",
            "from the sector backbone",
            "from the sector backbone, curriculum",
        ),
        published=(NIBALI,),
        differs=(
            "Data: the axial plane alone, of the largest slice of each LIDC-IDRI nodule; the publication reads axial, "
            "coronal and sagittal planes.",
            SPLIT,
            TARGET,
            "Networks: three residual blocks and few steps instead of deep residual networks; all designs are measured "
            "with networks that learned a mean above 3 against one below.",
            "Detector: its weights saw most of these images, without ratings; what starts from them is not wholly held "
            "out.",
            "Sector backbone: another network, pretrained on generated CT, which sees the plane at 1.5 mm.",
            "Curriculum: nodules far from a mean of 3 on which readers agree come first; all are shown from half of "
            "the steps on.",
        ),
        folds=3,
        once=True,
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
        networks=False,
    ),
}
"""Experiments by name."""
