"""Where a backbone may be cut."""

from lidcflow.config.science import BLOCKS
from lidcflow.learn.boundaries import BOUNDARIES


def test_every_block_that_may_be_named_has_a_boundary():
    assert {kind: tuple(blocks) for kind, blocks in BOUNDARIES.items()} == BLOCKS
