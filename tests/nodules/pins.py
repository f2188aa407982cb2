"""A pin of a detector, and figures of its findings, for tests of what becomes of them."""

from lidcflow.nodules.join_weights import JoinWeights
from lidcflow.release.pins import NodulePin
from lidcflow.stats.estimate import Estimate, FindingFigures
from lidcflow.stats.froc import FALSE_MARKS, froc_key

PIN = NodulePin(
    detector="embedded",
    version=202611,
    sha256="ab" * 32,
    threshold=0.5,
    with_sectors=JoinWeights(bias=0.5, slices=1, candidates=0.75),
    with_height=JoinWeights(bias=1, slices=0.5, candidates=1),
    chest_height=((0.8, 0.1, 0.1),) * 8,
)

FOUND = FindingFigures(
    patients=2,
    series=2,
    nodules=3,
    figures={
        "candidate_sensitivity": Estimate(value=0.95),
        "sensitivity": Estimate(value=0.75),
        "false_findings": Estimate(value=1.5),
        "cpm": Estimate(value=0.625, low=0.5, high=0.75),
        **{froc_key(rate): Estimate(value=0.7) for rate in FALSE_MARKS},
    },
    curve=((0.0, 0.5), (1.0, 0.7)),
)
