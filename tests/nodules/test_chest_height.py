import numpy as np
import pytest

from lidcflow.nodules.chest_height import embedded_chest_height


@pytest.mark.parametrize("slices", [16, 65, 130, 512])
def test_the_embedded_heights_fit_volumes_of_any_number_of_slices(slices: int):
    heights = embedded_chest_height(slices)

    assert heights.shape == (slices, 3)
    np.testing.assert_allclose(heights.sum(axis=1), 1)
    nodule = 1 - heights[:, 0]
    assert nodule.mean() == pytest.approx(0.0945, abs=0.004)  # LIDC-IDRI's share of slices with a nodule
    assert nodule.argmax() / slices == pytest.approx(0.45, abs=0.06)
    assert nodule[-1] < 0.002
