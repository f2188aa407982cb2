import numpy as np
import pytest

from lidcflow.config import PreprocessConfig
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.series.find import index_folder
from lidcflow.volume.plausible import lacking
from lidcflow.volume.reduce import reduce_series

SERIES = ["LIDC-IDRI", "LIDC-IDRI-more", "QIN-LUNG-CT"]


@pytest.fixture(scope="module")
def volumes(real_data):
    usable = [series for name in SERIES for series in index_folder(real_data / name, secret=PUBLIC_KEY).usable]
    return [reduce_series(series, PreprocessConfig()).hu[0] for series in usable]


def clipped(hu):
    return np.clip(hu, -1024, 3071).astype(np.int16)


def stored(hu):
    return hu.astype(int) + 1024


def infant(hu):
    """The same chest at a quarter of the size, in the same field of view."""
    small = hu[:, ::4, ::4]
    wide = np.full_like(hu, -1000)
    wide[:, 48 : 48 + small.shape[1], 48 : 48 + small.shape[2]] = small
    return wide


SOUND = {
    "as it is": lambda hu: hu,
    "no air around the body": lambda hu: hu[:, 40:90, 40:90],
    "one lung alone": lambda hu: hu[:, 45:80, 20:55],
    "apex": lambda hu: hu[:14],
    "base": lambda hu: hu[-16:],
    "prone": lambda hu: hu[:, ::-1],
    "infant": infant,
    "contrast": lambda hu: clipped(np.where(hu > 0, hu + 60, hu)),
    "metal": lambda hu: np.where(np.random.default_rng(0).random(hu.shape) < 0.01, np.int16(3071), hu),
    "noise": lambda hu: clipped(hu + np.random.default_rng(0).normal(0, 60, hu.shape)),
    "one lung opaque": lambda hu: clipped(np.where((np.arange(128) < 64) & (hu > -950) & (hu < -300), 30, hu)),
}
WRONG = {
    "intercept left out": lambda hu: clipped(stored(hu)),
    "intercept twice": lambda hu: clipped(hu.astype(int) - 1024),
    "inverted": lambda hu: clipped(-hu.astype(int)),
    "slope of 2": lambda hu: clipped(2 * stored(hu) - 1024),
    "slope of 1/2": lambda hu: clipped(stored(hu) / 2 - 1024),
    "negative values at the top": lambda hu: clipped(np.where(hu < 0, 3071, hu)),
    "positive values at the bottom": lambda hu: clipped(np.where(hu >= 0, -1024, hu)),
    "8 bits": lambda hu: clipped(stored(hu) // 16),
    "effective atomic numbers": lambda hu: clipped(np.clip(hu / 100 + 7, 0, 20)),
    "bytes swapped": lambda hu: clipped(hu.astype("<i2").byteswap().astype(int)),
}


@pytest.mark.parametrize("change", SOUND.values(), ids=SOUND)
def test_a_real_chest_lacks_nothing(volumes, change):
    assert [lacking(change(hu)) for hu in volumes] == [()] * len(volumes)


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_wrong_values_lack_something(volumes, change):
    assert all(lacking(change(hu)) for hu in volumes)


def test_blank_slabs_say_nothing_of_the_rest():
    hu = np.full((4, 8, 8), -1024, np.int16)

    assert lacking(hu, range(4)) == ()
    assert lacking(hu) == ("lung", "soft tissue")
