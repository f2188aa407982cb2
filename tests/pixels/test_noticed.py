import numpy as np
import pytest

from lidcflow.config import PreprocessConfig
from lidcflow.errors import SeriesRefused
from lidcflow.pixels.noticed import PixelFaults
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.series.find import index_folder
from lidcflow.volume.reduce import reduce_series, require_content

CONFIG = PreprocessConfig(size=32, slices=20)


def chest(n=20, size=64):
    """A body with two lungs in air, with noise."""
    y, x = np.mgrid[:size, :size]
    hu = np.full((n, size, size), -1000)
    hu[:, ((x - 32) / 29) ** 2 + ((y - 32) / 22) ** 2 < 1] = 40
    hu[:, (abs(abs(x - 32) - 13) / 8.0) ** 2 + ((y - 32) / 14) ** 2 < 1] = -850
    return hu + np.random.default_rng(0).integers(-20, 20, hu.shape)


def reduced(ct_series, folder, hu, config=CONFIG, **values):
    (series,) = index_folder(ct_series(folder, n=len(hu), size=64, hu=hu, **values), secret=PUBLIC_KEY).usable
    return series, reduce_series(series, config)


def test_a_sound_chest_has_nothing_to_notice(ct_series, tmp_path):
    _, volume = reduced(ct_series, tmp_path, chest())

    assert volume.noticed == PixelFaults()
    assert volume.flags == ()


@pytest.mark.parametrize("value", [-1024, -1000, 0, 3071])
@pytest.mark.parametrize("blank", [[9], [0, 1, 2], [18, 19], [3, 9, 10]])
def test_images_of_one_value_are_named_with_the_slabs_they_spoil(ct_series, tmp_path, blank, value):
    hu = chest()
    hu[blank] = value

    _, volume = reduced(ct_series, tmp_path, hu)

    assert volume.flags == ("blank-slices",)
    assert volume.noticed.blank_slices == tuple(blank)
    assert volume.noticed.blank_slabs == tuple(blank)


def test_padding_with_zeros_inside_is_blank_too(ct_series, tmp_path):
    hu = chest()
    y, x = np.mgrid[:64, :64]
    hu[4] = np.where((x - 32) ** 2 + (y - 32) ** 2 < 32**2, -1024, -1024 - 2000)

    _, volume = reduced(ct_series, tmp_path, hu)

    assert volume.noticed.blank_slices == (4,)


def test_an_image_of_air_above_the_head_is_not_blank(ct_series, tmp_path):
    hu = chest()
    hu[:2] = -1000 + np.random.default_rng(1).integers(-20, 20, hu[:2].shape)

    _, volume = reduced(ct_series, tmp_path, hu)

    assert volume.flags == ()


def test_a_thin_blank_image_spoils_no_slab_of_many(ct_series, tmp_path):
    hu = chest(n=40)
    hu[17] = -1024

    _, volume = reduced(ct_series, tmp_path, hu, PreprocessConfig(size=32, slices=8))

    assert (volume.noticed.blank_slices, volume.noticed.blank_slabs) == ((17,), ())
    assert volume.flags == ("blank-slices",)


@pytest.mark.parametrize("rows", [np.s_[32:], np.s_[:24]])
def test_an_image_that_ends_half_way_is_named(ct_series, tmp_path, rows):
    hu = chest()
    hu[[7, 8], rows] = -1024

    _, volume = reduced(ct_series, tmp_path, hu)

    assert volume.flags == ("partly-blank-slices",)
    assert volume.noticed.partly_blank_slices == (7, 8)
    assert volume.noticed.blank_slabs == ()


def test_a_background_that_is_masked_in_all_images_is_no_fault(ct_series, tmp_path):
    hu = chest()
    for k in range(20):
        hu[k, : 30 - k] = -1024

    _, volume = reduced(ct_series, tmp_path, hu)

    assert volume.flags == ()


def test_a_series_without_content_is_refused_by_number_and_instance(ct_series, tmp_path):
    series, volume = reduced(ct_series, tmp_path, np.zeros((20, 64, 64), int))

    with pytest.raises(SeriesRefused, match="must show more than one value, got 20 of 20 that do not, the first") as no:
        require_content(series, volume)

    assert no.value.reason == "blank"
    assert series.slices[0].sop_instance_uid in no.value.sentence


def test_signed_values_read_as_unsigned_are_told(ct_series, tmp_path):
    hu = chest()
    values = {"PixelRepresentation": 0, "RescaleIntercept": 0, "PixelData": lambda i: hu[i].astype("<i2").tobytes()}

    _, volume = reduced(ct_series, tmp_path, hu, **values)

    assert volume.flags == ("implausible-values",)
    assert volume.noticed.implausible == ("air", "lung")


@pytest.mark.parametrize(
    ("values", "lacks"),
    [
        ({"RescaleIntercept": 0}, ("air", "lung")),
        ({"RescaleIntercept": -2048}, ("soft tissue",)),
        ({"RescaleSlope": 10, "RescaleIntercept": -10240}, ("soft tissue",)),
        ({"RescaleSlope": -1, "RescaleIntercept": 1024}, ("air",)),
    ],
)
def test_wrong_rescale_values_are_told(ct_series, tmp_path, values, lacks):
    _, volume = reduced(ct_series, tmp_path, chest(), **values)

    assert set(lacks) <= set(volume.noticed.implausible)


def test_open_units_are_read_when_the_pixels_are_those_of_a_chest(ct_series, tmp_path):
    series, volume = reduced(ct_series, tmp_path, chest(), RescaleType="US")

    require_content(series, volume)

    assert volume.flags == ("unspecified-units",)


def test_open_units_are_refused_when_they_are_not(ct_series, tmp_path):
    series, volume = reduced(ct_series, tmp_path, chest(), RescaleType="US", RescaleSlope=0.01, RescaleIntercept=0)

    with pytest.raises(SeriesRefused, match="got US, unspecified, and pixels without the values of air") as refused:
        require_content(series, volume)

    assert refused.value.reason == "not-hounsfield"
