"""Fields on the grid of a scan."""

import numpy as np

from lidcflow.phantom.grid import Enlarger, Grid


def test_fields_are_enlarged_linearly():
    enlarge = Enlarger(Grid(13, 1.0), step_mm=3.0)
    ramp = np.broadcast_to(enlarge.lines_mm.astype(np.float32), (len(enlarge.lines_mm),) * 2)

    np.testing.assert_allclose(enlarge(ramp)[4], Grid(13, 1.0).lines_mm(), atol=1e-5)
