"""Made-up nodules with ratings and cubes: large bright balls that readers call malignant, small faint ones benign."""

import numpy as np
import pandas as pd

from lidcflow.learn.nodule_rows import COLUMNS, COUNTS, NoduleRows
from lidcflow.learn.own_malignancy_examples import RatedViews, read_rated_views
from lidcflow.nodules.cubes import CUBE_MM, CUBE_VOXELS
from lidcflow.nodules.nodule_views import joined, views_of
from lidcflow.nodules.table import CANDIDATE
from lidcflow.store.arrays import CandidateArrays
from tests.labelled_candidates import numbers

OF_SERIES = 4
"""Nodules of a series, every other one malignant."""


def ball(diameter_mm, hu, rng, voxel_mm=CUBE_MM[0]):
    away = np.sqrt((((np.indices([CUBE_VOXELS] * 3) - 23.5) * voxel_mm) ** 2).sum(axis=0))
    noise = rng.normal(0, 15, away.shape)
    return np.where(away <= diameter_mm / 2, hu, -850 + noise).astype(np.int16)


def cubes_of(uid):
    """Return the cubes of a series: the second and fourth are large and bright."""
    rng = np.random.default_rng(int(uid))
    kinds = [((5.0, -300), (14.0, 40))[i % 2] for i in range(OF_SERIES)]
    return np.stack([ball(size + rng.uniform(-1, 1), hu + rng.normal(0, 40), rng) for size, hu in kinds])


class Shelf:
    """Holds the cubes of every series."""

    def read_candidates(self, uid, *, cubes=False):
        table = np.zeros(OF_SERIES, CANDIDATE)
        table["score"] = 0.5
        facts = {
            "schema": 2,
            "columns": list(CANDIDATE.names),
            "sop_instance_uids": ["1"] * OF_SERIES,
            "flags": [],
            "cube_candidates": list(range(OF_SERIES)),
            "cube_voxel_mm": [CUBE_MM[0]] * OF_SERIES,
        }
        patches = np.zeros((OF_SERIES, 2, 3, 48, 48), np.int16)
        return CandidateArrays(facts, numbers(table), patches, cubes_of(uid) if cubes else None)


def nodule_rows(train=15, validation=6, test=3, *, unrated=0):
    """Return rows of so many series of each split, a patient each; the first `unrated` nodules have no rating."""
    splits = ["train"] * train + ["validation"] * validation + ["test"] * test
    table = pd.concat([_series(str(i), split) for i, split in enumerate(splits)], ignore_index=True)
    table.loc[table.index < unrated, "rating"] = np.nan
    return NoduleRows(
        table.astype(COLUMNS), np.zeros((len(table), CUBE_VOXELS**3 // 8), np.uint8), dict.fromkeys(COUNTS, 0)
    )


def _series(uid, split):
    return pd.DataFrame(
        {
            "series_instance_uid": uid,
            "patient_key": f"patient {uid}",
            "split": split,
            "nodule": np.arange(OF_SERIES),
            "candidate": np.arange(OF_SERIES),
            "voxel_mm": CUBE_MM[0],
            "rating": [1.5, 4.5, 2.5, 3.5],
            "readers": 4,
            "spread": 0.5,
            "diameter_mm": 8.0,
            "counts": True,
            "outlined": True,
            "score": 0.5,
        }
    )


def rated_views(n):
    """Return views of n nodules in the middle slice, every other one malignant, with clear ratings."""
    rng = np.random.default_rng(0)
    kinds = [((6.0, -300), (12.0, 40))[i % 2] for i in range(n)]
    views = [views_of(ball(size + rng.uniform(-3, 3), hu, rng), CUBE_MM[0], None) for size, hu in kinds]
    return RatedViews(
        joined(views),
        np.array([1.5, 4.5] * n)[:n],
        np.full(n, 0.5),
        np.full(n, 4),
        np.array([f"patient {i // 2}" for i in range(n)]),
    )


class Brightness:
    """A segmenter that takes dense voxels for the nodule."""

    def probabilities(self, cubes, _voxel_mm):
        return (cubes > -550).astype(np.float32)


def views_in(rows, split):
    """Return what systems see of the nodules of a split."""
    return read_rated_views(rows.of_split(split), Shelf(), Brightness())
