"""Predict the work and cost of preprocessing and training from measured rates, without doing it."""

from __future__ import annotations

from pydantic import BaseModel

from flows.missing_series import divided
from flows.room import CANDIDATES_BYTES, volume_bytes
from lidcflow.config import Config
from lidcflow.dicom.records import Series
from lidcflow.learn.backbones import describe_backbone
from lidcflow.learn.folds import patients_by_fold, require_folds
from lidcflow.learn.snapshot import build_snapshot
from lidcflow.learn.splits import SPLITS
from lidcflow.series.verdicts import Index
from lidcflow.stats.estimate import ClassCounts, MarkFacts
from lidcflow.store.address import StoreAddress, training_store
from lidcflow.store.volumes import VolumeStore
from tasks.cluster.cores import local_workers
from tasks.features import lacking_features
from tasks.release import jobs_of
from tasks.snapshot import labelled_volumes, mark_facts

IMAGE_S, CANDIDATES_S, COMMIT_S = 0.000336, 0.016, 0.0384
"""CPU time to read an image, to search it for candidates, and to store a series: docs/measured.md, docs/nodules.md."""

PIXELS_S = 0.0054 / 128**2
"""CPU time of the compact backbone for a pixel of a slice: 5.3 s on 2 cores for 1,950 slices of 128 x 128."""

MODEL_S = 8.7
"""Time to train, measure and log a model: 122 s for the 14 of 13 sectors on 1,018 series."""

RATES = "minutes by rates measured on 2 cores, without the time that a disk or a network takes: an order of magnitude"


class PreprocessCost(BaseModel):
    """The predicted work of a preprocessing.

    Parameters
    ----------
    found, refused, stored, waiting : int
        CT series of the source; those that can't be used; those that the store holds; those that would be worked on.
    images : int
        Of the waiting series.
    bytes : int
        Most room that their volumes take in the store; compressed, they take about half.
    minutes : float
        Of computing, on `workers` processes.
    """

    found: int
    refused: int
    stored: int
    waiting: int
    images: int
    bytes: int
    workers: int
    minutes: float
    rates: str = RATES
    notice: str = "Research use only."


class TrainCost(BaseModel):
    """The predicted work of a training.

    Parameters
    ----------
    series, patients : int
        That are stored and labelled.
    left_out, wrong_pixels : int
        Stored series without labels, and those whose pixels look wrong.
    patients_by_split : dict of str to int
        How the patients are divided.
    slices : ClassCounts
        Labels of all slices.
    marks : MarkFacts, optional
        What of them comes from readers' marks on reports.
    models : int
        Sector models, with the one of the whole chest.
    features : int
        Series whose features are to be computed.
    bytes : int
        Room for these features.
    minutes : float, optional
        Of computing, on `workers` processes; None for a backbone whose rate was not measured.
    """

    series: int
    patients: int
    left_out: int
    wrong_pixels: int
    patients_by_split: dict[str, int]
    slices: ClassCounts
    marks: MarkFacts | None = None
    models: int
    features: int
    bytes: int
    workers: int
    minutes: float | None
    rates: str = RATES
    notice: str = "Research use only."


def preprocess_cost(found: Index, config: Config) -> PreprocessCost:
    """Count what a preprocessing of an index would do; nothing is stored.

    Parameters
    ----------
    found : Index
        Of the source.
    config : Config
        Names the store.
    """
    store = training_store(config)
    waiting = divided(found.usable, store).waiting if store.exists() else found.usable
    images, workers = (
        sum(len(series.slices) for series in waiting),
        local_workers(config.cluster.pool("preprocess").workers),
    )
    return PreprocessCost(
        found=len(found.in_question),
        refused=len(found.refused),
        stored=len(found.usable) - len(waiting),
        waiting=len(waiting),
        images=images,
        bytes=len(waiting) * (volume_bytes(config.preprocess) + (CANDIDATES_BYTES if store.candidates else 0)),
        workers=workers,
        minutes=_minutes(_preprocess_s(waiting, store), workers),
    )


def _preprocess_s(waiting: list[Series], store: StoreAddress) -> float:
    each_s = IMAGE_S + (CANDIDATES_S if store.candidates else 0)
    return sum(len(series.slices) * each_s + COMMIT_S for series in waiting)


def train_cost(config: Config) -> TrainCost:
    """Count what a training on the store would do; no snapshot is written.

    Parameters
    ----------
    config : Config
        Names store, labels, split and what is trained.

    Raises
    ------
    LabelError
        If the store holds no volume to learn from, or none with labels.
    WeightsError
        If the weight file of the backbone is missing or not the one that was asked for.
    """
    records, labelled, wrong_pixels = labelled_volumes(config)
    snapshot = build_snapshot(records, labelled.labels, config.split)
    table = snapshot.table
    backbone = describe_backbone(config.train, config.preprocess.size)
    lacking = lacking_features(VolumeStore.of(config), list(labelled.labels), backbone.id)
    folds = config.train.folds
    if folds:
        require_folds(snapshot, folds, config.split.seed)
    counted = table.groupby("split", observed=True)["patient_key"].nunique()
    by_split = {split: int(counted.get(split, 0)) for split in SPLITS}
    slices, workers = len(lacking) * config.preprocess.slices, local_workers(config.cluster.pool("train").workers)
    features_s = slices * config.preprocess.size**2 * PIXELS_S if backbone.kind == "compact" else None
    models = len(jobs_of(config.train.sector_num)) * (folds or 1)
    return TrainCost(
        series=table["series_instance_uid"].nunique(),
        patients=table["patient_key"].nunique(),
        left_out=len(labelled.left_out),
        wrong_pixels=wrong_pixels,
        patients_by_split=patients_by_fold(table, folds, config.split.seed) if folds else by_split,
        slices=ClassCounts.of(table["label"].to_numpy()),
        marks=mark_facts(labelled),
        models=models,
        features=len(lacking),
        bytes=slices * backbone.feature_dim * 2,
        workers=workers,
        minutes=None if features_s is None else _minutes(features_s + models * MODEL_S, workers),
    )


def _minutes(cpu_s: float, workers: int) -> float:
    """Return the time of work that is spread over processes, in minutes.

    Examples
    --------
    >>> _minutes(240.0, 2)
    2.0
    """
    return round(cpu_s / workers / 60, 2)
