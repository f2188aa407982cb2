"""Profiles and readings of patients who differ by chance alone, unless a test says otherwise."""

import numpy as np

from lidcflow.drift.measures import HU_EDGES, Measured
from lidcflow.drift.profile import profile_of
from lidcflow.drift.quantities import Recent

SLICES = 8
LUNG = np.array([0.2, 0.4, 0.5, 0.6, 0.6, 0.5, 0.5, 0.4, 0.3, 0.1])
BONE = np.array([0.16, 0.1, 0.08, 0.06, 0.05, 0.05, 0.04, 0.04, 0.04, 0.04])
"""Shares of what is not air, from the shoulders down."""


def measured(rng, **changes):
    """A chest: a third of it lung; spacing, scanner and kernel drawn at random."""
    spread_hu = np.exp(-((HU_EDGES[:-1] + rng.normal(850, 15)) ** 2) / 2e4)
    body_hu = 2 * np.exp(-((HU_EDGES[:-1] - rng.normal(40, 5)) ** 2) / 2e3)
    numbers = {
        "slice_spacing_mm": float(rng.choice([1.25, 2.5])),
        "slice_thickness_mm": float(rng.choice([1.25, 2.5])),
        "pixel_spacing_mm": round(float(rng.uniform(0.6, 0.9)), 3),
        "field_of_view_mm": round(float(rng.uniform(300, 450)), 3),
        "scan_length_mm": round(float(rng.uniform(280, 360)), 3),
        "kvp": float(rng.choice([120.0, 140.0])),
    }
    words = {
        "manufacturer": str(rng.choice(["A", "B"])),
        "model": "M",
        "kernel": str(rng.choice(["SOFT", "LUNG"])),
        "contrast": None,
    }
    return Measured(
        numbers={key: changes.get(key, value) for key, value in numbers.items()},
        words={key: changes.get(key, value) for key, value in words.items()},
        hu=(spread_hu + body_hu) / (spread_hu + body_hu).sum(),
        heights=np.stack([LUNG, BONE]) * (1 + rng.normal(0, 0.1, (2, 10))),
    )


def profile(release, rng, patients=60):
    """The profile of a release, one series for each patient."""
    keys = [f"key{number:03d}" for number in range(patients)]
    training = [(key, measured(rng), rng.normal(size=16)) for key in keys]
    held_out = keys[:40]
    scores = rng.beta(1, 12, (len(held_out), SLICES))
    return profile_of(release, training, held_out, scores, scores.max(axis=1) / 2)


def recent(rng, patients=30, *, scores=None, **changes):
    """What was read lately."""
    keys = [f"now{number:03d}" for number in range(patients)]
    read = [measured(rng, **changes) for _ in keys]
    scores = rng.beta(1, 12, (patients, SLICES)) if scores is None else scores
    malignant = np.random.default_rng(patients).beta(1, 12, (patients, SLICES)).max(axis=1) / 2
    return Recent(keys, read, keys, scores, malignant)
