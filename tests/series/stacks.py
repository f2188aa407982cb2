"""Stacks of slices, and the one verdict on them."""

import numpy as np

from lidcflow.privacy import PUBLIC_KEY
from lidcflow.series.find import index_folder


def only_verdict(folder, **options):
    (verdict,) = index_folder(folder, secret=PUBLIC_KEY, **options)
    return verdict


def straight(_i):
    return -100.0


def at(z_mm, x_mm=straight):
    return {"n": len(z_mm), "ImagePositionPatient": lambda i: [x_mm(i), -100.0, z_mm[i]]}


STEPS = [-2.5 * k for k in range(20)]


def steps(*distances_mm):
    return -np.cumsum([0.0, *distances_mm])


GAPS = {
    "every fourth slice missing": [1, 1, 2] * 8,
    "every third slice missing": [1, 2] * 12,
    "every third slice missing, from a gap on": [2, 1] * 12,
    "two of five slices missing": [1, 2, 2] * 8,
    "every other slice of the lower half missing": [1] * 12 + [2] * 13,
    "every other slice of nearly all missing": [1] * 5 + [2] * 30,
    "the second slice missing": [2, *[1] * 20],
    "the last but one missing": [*[1] * 20, 2],
}
