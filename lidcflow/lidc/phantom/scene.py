"""Put a scan together: the chest on its lattice, vessels and airways grown into it, nodules."""

from __future__ import annotations

from collections.abc import Sequence

from numpy.random import PCG64, Generator, SeedSequence

from lidcflow.lidc.phantom.chest import Chest
from lidcflow.lidc.phantom.nodules import Lesion
from lidcflow.lidc.phantom.render import Anatomy, Scene, random_lung_points
from lidcflow.lidc.phantom.vessels import grow_tubes

TIPS = 1300
"""Tips of each of the four vessel trees of a chest."""


def generator(*entropy: int) -> Generator:
    """Return a random generator that depends on these numbers alone, on every platform."""
    return Generator(PCG64(SeedSequence(entropy)))


def build_scene(rng: Generator, chest: Chest, anatomy: Anatomy, lesions: Sequence[Lesion]) -> Scene:
    """Grow vessels and airways, and put everything together."""
    tubes = grow_tubes(rng, chest, random_lung_points(rng, anatomy, 5 * TIPS), TIPS)
    vessel_hu = float(rng.normal(38, 6) + 110 * chest.contrast)
    return Scene(chest, anatomy, tubes, lesions, vessel_hu)
