"""Vessels and airways: trees that grow from the hila until they fill the lungs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from lidcflow.phantom.capsules import Capsules, chain, join_capsules
from lidcflow.phantom.chest import Chest

Distance = Callable[[NDArray[np.float64]], NDArray[np.float64]]

STEP_MM = 5.0
MURRAY = 2.6
"""Exponent of Murray's law: the sum of the branches' radii to this power is the trunk's."""

TIP_MM = 0.42
BRANCHES = 260
"""Tips that are grown one by one."""

HILA_MM = np.array([[-42.0, 4.0, 124.0], [42.0, 6.0, 118.0]])
CARINA_MM = np.array([0.0, 12.0, 98.0])


@dataclass(frozen=True, eq=False)
class Tree:
    """A tree as nodes, each after its parent; the root is its own parent.

    Attributes
    ----------
    points : (n, 3) array
        x, y and depth in mm.
    parents : (n,) array
        Index of each node's parent.
    radii_mm : (n,) array
        Radius at each node.
    """

    points: NDArray[np.float64]
    parents: NDArray[np.intp]
    radii_mm: NDArray[np.float64]

    def capsules(self) -> Capsules:
        """Return the branches; each keeps its own calibre from where it leaves its parent."""
        ends, starts = np.arange(1, len(self.points)), self.parents[1:]
        start_mm = np.minimum(self.radii_mm[starts], self.radii_mm[ends] * 1.25)
        return Capsules(self.points[starts], self.points[ends], start_mm, self.radii_mm[ends])


def grow_tree(rng: Generator, root: NDArray[np.float64], targets: NDArray[np.float64], tip_mm: float) -> Tree:
    """Grow a tree from a root to targets: branches one by one, then twigs in bursts.

    Parameters
    ----------
    rng : Generator
        Draws how the branches bow.
    root : (3,) array
        x, y and depth in mm.
    targets : (n_targets, 3) array
        Where the tips shall be.
    tip_mm : float
        Radius of the tips.
    """
    points, parents = _grow_branches(rng, root, targets[:BRANCHES])
    done = BRANCHES
    while done < len(targets):
        points, parents = _grow_twigs(rng, points, parents, targets[done : 2 * done])
        done *= 2
    return Tree(points, parents, _radii(parents, tip_mm))


def _grow_branches(
    rng: Generator, root: NDArray[np.float64], targets: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Reach each target from the node that is nearest, counting the way back to the root."""
    room = 1 + int(np.ceil(np.linalg.norm(targets - root, axis=1) / STEP_MM + 2).sum())
    points, parents, detour = np.empty((room, 3)), np.zeros(room, dtype=np.intp), np.zeros(room)
    points[0], n = root, 1
    for target in targets:
        gap = points[:n] - target
        from_here = int(np.argmin(np.sqrt(np.einsum("ij,ij->i", gap, gap)) + detour[:n]))
        path = _path(rng, points[from_here], target)
        end = n + len(path)
        points[n:end] = path
        parents[n:end] = [from_here, *range(n, end - 1)]
        detour[n:end] = 0.62 * np.sqrt(((path - root) ** 2).sum(axis=1))
        n = end
    return points[:n], parents[:n]


def _grow_twigs(
    rng: Generator, points: NDArray[np.float64], parents: NDArray[np.intp], targets: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Reach many targets at once, each by two steps from the node nearest to it."""
    if not len(targets):
        return points, parents
    _, nearest = cKDTree(points).query(targets)
    starts = points[nearest]
    length = np.sqrt(((targets - starts) ** 2).sum(axis=1, keepdims=True))
    middles = (starts + targets) / 2 + rng.normal(0, 0.1, targets.shape) * length
    own = np.arange(len(points), len(points) + len(targets))
    return np.vstack([points, middles, targets]), np.concatenate([parents, nearest, own])


def _path(rng: Generator, start: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.float64]:
    """Walk from start to end in steps, along a slight bow."""
    along = end - start
    length = float(np.sqrt(along @ along))
    n = max(1, round(length / STEP_MM))
    t = np.arange(1, n + 1)[:, None] / n
    bow = rng.normal(0, 0.09 * length, size=3)
    return np.asarray(start + along * t + bow * (4 * t * (1 - t)) * (n > 1))


def _radii(parents: NDArray[np.intp], tip_mm: float) -> NDArray[np.float64]:
    flow = [0.0] * len(parents)
    above = parents.tolist()
    for node in range(len(above) - 1, 0, -1):
        flow[node] = flow[node] or 1.0
        flow[above[node]] += flow[node]
    return np.asarray(tip_mm * np.maximum(np.array(flow), 1.0) ** (1.0 / MURRAY))


@dataclass(frozen=True, eq=False)
class Tubes:
    """Thin tubes of a chest: vessels, and airways as walls and lumens."""

    vessels: Capsules
    walls: Capsules
    lumens: Capsules


def grow_tubes(rng: Generator, chest: Chest, tips: NDArray[np.float64]) -> Tubes:
    """Grow arteries, veins and airways of both lungs.

    Parameters
    ----------
    tips : (n, 3) array
        Random positions in the lungs, x, y and depth in mm, that vessels shall reach.
    """
    vessels: list[Capsules] = []
    airways: list[tuple[Capsules, Capsules]] = []
    hila = chest.frame.scan(HILA_MM)
    for side, hilum in zip((-1.0, 1.0), hila, strict=True):
        own = tips[(tips[:, 0] - chest.frame.x_mm) * side > 0]
        for first, offset in enumerate((np.array([0.0, -5.0, -4.0]), np.array([0.0, 6.0, 14.0]))):
            tree = grow_tree(rng, hilum + offset, own[first::2], TIP_MM * rng.uniform(0.9, 1.15))
            vessels.append(_slim(tree.capsules()))
            if len(vessels) % 2:
                airways.append(_airway(tree))
    airways.append(_trachea(chest, hila))
    return Tubes(join_capsules(vessels), *(join_capsules(list(parts)) for parts in zip(*airways, strict=True)))


def _slim(capsules: Capsules) -> Capsules:
    return Capsules(
        capsules.starts, capsules.ends, np.minimum(capsules.start_mm, 7.0), np.minimum(capsules.end_mm, 7.0)
    )


def _airway(tree: Tree) -> tuple[Capsules, Capsules]:
    """Bronchi run beside the arteries and are lost to view below 1.4 mm."""
    branches = tree.capsules()
    wide = np.flatnonzero(branches.end_mm > 1.4)
    branches = branches[wide]
    away = (branches.end_mm * 1.6 + 0.6)[:, None] * np.array([0.3, 0.9, 0.3])
    lumen = np.minimum(0.85 * branches.end_mm, 4.5)
    starts, ends = branches.starts + away, branches.ends + away
    return Capsules(starts, ends, lumen + 0.8, lumen + 0.8), Capsules(starts, ends, lumen, lumen)


def _trachea(chest: Chest, hila: NDArray[np.float64]) -> tuple[Capsules, Capsules]:
    top = chest.frame.scan(np.array([[-1.0, 4.0, -120.0]]))
    carina = chest.frame.scan(CARINA_MM[None])
    size = chest.frame.scales[0]
    walls, lumens = [], []
    for path, radius in ((np.vstack([top, carina]), 8.5), *((np.vstack([carina, hilum]), 6.0) for hilum in hila)):
        steps = np.linspace(0, 1, max(2, int(np.linalg.norm(path[1] - path[0]) / 6.0)))[:, None]
        points = path[0] + (path[1] - path[0]) * steps
        radii = np.full(len(points), radius * size)
        lumens.append(chain(points, radii))
        walls.append(chain(points, radii + 1.5))
    return join_capsules(walls), join_capsules(lumens)
