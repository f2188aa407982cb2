"""What lesions are painted into."""

from lidcflow.phantom.grid import Grid
from lidcflow.phantom.lesions import MeanRatings

GRID = Grid(64, 0.7)
PLAIN = MeanRatings(5, 1, 6, 5, 1, 1, 5)
LUNG_HU = -870.0
