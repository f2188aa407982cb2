"""Block boundaries of each backbone: the layer before each block, and the shape of its maps."""

from typing import NamedTuple


class Boundary(NamedTuple):
    """Start of a block: the layer before it, and that layer's maps.

    Attributes
    ----------
    layer : str
        Name of the layer.
    halvings : int
        How often the image has been halved, rounded up each time.
    channels : int
        Of the maps.
    """

    layer: str
    halvings: int
    channels: int


BOUNDARIES = {
    "compact": {
        "stage1": Boundary("stem", 0, 16),
        "stage2": Boundary("stage1_block1_relu", 1, 32),
        "stage3": Boundary("stage2_block2_relu", 2, 64),
    },
    "resnet50": {
        "conv2": Boundary("pool1_pool", 2, 64),
        "conv3": Boundary("conv2_block3_out", 2, 256),
        "conv4": Boundary("conv3_block4_out", 3, 512),
        "conv5": Boundary("conv4_block6_out", 4, 1024),
    },
}
"""Boundary below each block of `lidcflow.config.science.BLOCKS`: the layers above read nothing else from below."""


def map_shape(kind: str, block: str, size: int) -> tuple[int, int, int]:
    """Return rows, columns and channels of the maps of one slice at a boundary.

    Examples
    --------
    >>> map_shape("compact", "stage3", 128), map_shape("resnet50", "conv5", 128)
    ((32, 32, 64), (8, 8, 1024))
    """
    boundary = BOUNDARIES[kind][block]
    side = -(-size // 2**boundary.halvings)
    return side, side, boundary.channels
