from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from lidcflow.report.pictures import LUNG_WINDOW_HU, coronal, pictures_of, to_grey


@pytest.fixture
def decoded():
    def decode(uri: str) -> np.ndarray:
        return np.asarray(Image.open(BytesIO(b64decode(uri.partition(",")[2]))))

    return decode


def test_the_lung_window_ends_where_it_says():
    grey = to_grey(np.array([-3000, -1350, -600, 150, 3000]), LUNG_WINDOW_HU)

    np.testing.assert_array_equal(grey, [0, 0, 128, 255, 255])


def test_recommended_slices_are_lossless(hu, decoded):
    pictures = pictures_of(hu, sharp=[3])

    np.testing.assert_array_equal(decoded(pictures.sharp_maximum[3]), to_grey(hu[1, 3], LUNG_WINDOW_HU))
    assert list(pictures.sharp_mean) == [3]


def test_there_is_a_picture_of_every_slice(hu, decoded):
    pictures = pictures_of(hu, sharp=[])

    assert [len(pictures.mean), len(pictures.maximum), len(pictures.thumbnail)] == [8, 8, 8]
    assert decoded(pictures.mean[5])[9, 8].max() > 200
    assert decoded(pictures.mean[5])[4, 8].max() < 90


def test_the_coronal_view_has_the_top_of_the_chest_at_the_top():
    mean = np.full((3, 20, 4), -1000, dtype=np.int16)
    mean[0] = 250

    np.testing.assert_array_equal(coronal(mean)[:, 0], [255, 0, 0])


def test_large_volumes_get_smaller_pictures(decoded):
    large = np.zeros((2, 260, 256, 256), dtype=np.int16)

    assert decoded(pictures_of(large, sharp=[]).mean[0]).shape[:2] == (64, 64)
