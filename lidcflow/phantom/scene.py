"""Put a scan together: the chest on its lattice, vessels and airways grown into it, nodules."""

from __future__ import annotations

from collections.abc import Sequence

from numpy.random import PCG64, Generator, SeedSequence

from lidcflow.phantom.chest import Chest
from lidcflow.phantom.lesions import Lesion
from lidcflow.phantom.render import Anatomy, Scene, lung_volume_ml, random_lung_points
from lidcflow.phantom.vessels import grow_tubes

TIPS_PER_ML = 1.15
"""Tips of vessels in a millilitre of lung: each of the four trees of a chest has about 1,300."""

MOST_TIPS = 8000


def generator(*entropy: int) -> Generator:
    """Return a random generator that depends on these numbers alone, on every platform."""
    return Generator(PCG64(SeedSequence(entropy)))


def build_scene(rng: Generator, chest: Chest, anatomy: Anatomy, lesions: Sequence[Lesion]) -> Scene:
    """Grow vessels and airways, and put everything together."""
    tips = min(round(TIPS_PER_ML * lung_volume_ml(anatomy)), MOST_TIPS)
    tubes = grow_tubes(rng, chest, random_lung_points(rng, anatomy, tips))
    vessel_hu = float(rng.normal(38, 6) + 110 * chest.contrast)
    return Scene(chest, anatomy, tubes, lesions, vessel_hu)
