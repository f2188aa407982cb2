"""How often the check of heights warns: of made-up chests as they are, and of what it is there for.

    python -m benchmarks.outlying_heights [--volumes 120] [--repeats 20] [--real DIR]

Each repeat takes two thirds of the volumes for training and the others as new ones. With a folder of real CT, its
usable series are compared too.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.pacs import usable
from lidcflow.config import Access, PreprocessConfig
from lidcflow.drift.measures import TURNED, Heights, heights_of
from lidcflow.drift.outlying import _limit
from lidcflow.phantom.procedural import volume
from lidcflow.volume.reduce import reduce_series

PARTS = {
    "as it is": (0.0, 1.0),
    "a little less": (0.07, 0.95),
    "upper half": (0.0, 0.5),
    "upper third": (0.0, 0.33),
    "middle third": (0.33, 0.67),
    "lower third": (0.67, 1.0),
}

Hu = NDArray[np.int16]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--volumes", type=int, default=120)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--real", type=Path)
    options = parser.parse_args()
    kinds = [kinds_of(volume(seed).hu[0]) for seed in range(options.volumes)]
    real = [kinds_of(hu) for hu in real_volumes(options.real)] if options.real else []
    rng, warned = np.random.default_rng(0), defaultdict(list)
    for _ in range(options.repeats):
        order = rng.permutation(len(kinds))
        cut = 2 * len(kinds) // 3
        known, limit = trained([kinds[k]["as it is"] for k in order[:cut]])
        for source, ones in (("made up", [kinds[k] for k in order[cut:]]), ("real", real)):
            for one in ones:
                for kind, heights in one.items():
                    warned[source, kind].append(told(known, limit, heights))
    for (source, kind), found in warned.items():
        upside_down, unlike = (np.mean([one == code for one in found]) for code in ("upside-down", "unlike"))
        print(f"{source:8} {kind:14} upside-down {upside_down:6.1%}   unlike training {unlike:6.1%}")


def kinds_of(hu: Hu) -> dict[str, NDArray[np.float64]]:
    """Measure a volume, parts of it, and it upside down."""
    parts = {kind: heights_of(part_of(hu, *ends)) for kind, ends in PARTS.items()}
    return {**parts, "upside down": heights_of(hu[::-1])}


def part_of(hu: Hu, top: float, bottom: float) -> Hu:
    """Resample a part of the height to as many slices as the whole has."""
    edges = np.linspace(top * len(hu), bottom * len(hu), len(hu) + 1)
    return hu[np.clip((edges[:-1] + edges[1:]) / 2, 0, len(hu) - 1).astype(int)]


def trained(heights: list[NDArray[np.float64]]) -> tuple[Heights, float]:
    stacked = np.stack(heights)
    own = [Heights.of(np.delete(stacked, k, axis=0)).distance(one) for k, one in enumerate(stacked)]
    return Heights.of(stacked), _limit(own)


def told(known: Heights, limit: float, heights: NDArray[np.float64]) -> str:
    if known.turned(heights) > TURNED and known.distance(heights[:, ::-1]) <= limit:
        return "upside-down"
    return "unlike" if known.distance(heights) > limit else ""


def real_volumes(folder: Path) -> list[Hu]:
    return [reduce_series(series, PreprocessConfig()).hu[0] for series in usable(str(folder), Access())]


if __name__ == "__main__":
    main()
