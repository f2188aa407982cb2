from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataelem import DataElement

from lidcflow.errors import SeriesRefused
from lidcflow.pixels.decode import hounsfield_slice, to_hounsfield
from lidcflow.series.find import index_folder


def first_slice(folder: Path):
    return index_folder(folder, secret=b"").usable[0].slices[0]


def test_padding_counts_as_air():
    stored = np.array([[-2000, 1024]], dtype=np.int16)

    hu = to_hounsfield(stored, slope=1.0, intercept=-1024.0)

    np.testing.assert_array_equal(hu, [[-1024, 0]])


def test_values_above_the_scale_are_clipped():
    stored = np.array([[0, 1024, 65535]], dtype=np.uint16)

    hu = to_hounsfield(stored, slope=1.0, intercept=-1024.0)

    np.testing.assert_array_equal(hu, [[-1024, 0, 3071]])


def test_the_argument_is_left_as_it_is():
    stored = np.array([[5000]], dtype=np.int16)

    to_hounsfield(stored, slope=1.0, intercept=0.0)

    assert stored[0, 0] == 5000


@given(
    st.sampled_from([np.int16, np.uint16]),
    st.integers(-70_000, 70_000) | st.floats(-2000, 2000),
    st.sampled_from([1.0, -1.0, 0.5, 2.0002442, 32.1]),
)
def test_every_stored_value_follows_the_rescale(kind, intercept, slope):
    stored = np.arange(np.iinfo(kind).min, np.iinfo(kind).max, 97).astype(kind)[None]

    hu = to_hounsfield(stored, slope=slope, intercept=float(intercept))

    expected = np.clip(np.rint(stored.astype(float) * slope + intercept), -1024, 3071)
    np.testing.assert_array_equal(hu, expected)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"])
def test_a_slice_is_what_pydicom_decodes(ct_series, tmp_path, syntax):
    folder = ct_series(tmp_path, syntax=syntax)

    hu = hounsfield_slice(first_slice(folder))

    expected = pydicom.dcmread(folder / "000001.dcm").pixel_array - 1024
    np.testing.assert_array_equal(hu, expected)


def test_bits_above_bits_stored_are_not_part_of_the_value(ct_series, tmp_path):
    overlay = np.full((32, 32), 0xF000 | 1040, "<u2").tobytes()
    folder = ct_series(tmp_path, PixelData=overlay, BitsStored=12, HighBit=11, PixelRepresentation=0)

    assert (hounsfield_slice(first_slice(folder)) == 16).all()


def test_twelve_bits_keep_their_sign(ct_series, tmp_path):
    minus_two = np.full((32, 32), 0x0FFE, "<u2").tobytes()
    folder = ct_series(tmp_path, PixelData=minus_two, BitsStored=12, HighBit=11, RescaleIntercept=0)

    assert (hounsfield_slice(first_slice(folder)) == -2).all()


def test_padding_that_rescale_would_make_bright_is_air(ct_series, tmp_path):
    hu = np.full((10, 32, 32), 40)
    hu[:, :4] = 3000
    folder = ct_series(tmp_path, hu=hu, PixelPaddingValue=4024)

    decoded = hounsfield_slice(first_slice(folder))

    assert (decoded[:4] == -1024).all()
    assert (decoded[4:] == 40).all()


def test_padding_of_a_signed_image_may_be_written_unsigned(ct_series, tmp_path):
    hu = np.full((10, 32, 32), 40)
    hu[:, 0] = -2000 - 1024

    folder = ct_series(tmp_path, hu=hu, PixelPaddingValue=DataElement("PixelPaddingValue", "US", 63536))

    assert first_slice(folder).pixels.padding == (-2000, -2000)
    assert (hounsfield_slice(first_slice(folder))[0] == -1024).all()


def test_a_file_that_changed_since_it_was_indexed_is_refused(ct_series, tmp_path):
    source = first_slice(ct_series(tmp_path))
    with open(source.path, "ab") as file:
        file.write(b"more")

    with pytest.raises(SeriesRefused, match="index the source again") as refused:
        hounsfield_slice(source)

    assert refused.value.reason == "changed"
    assert source.path not in str(refused.value)


def test_a_file_that_is_gone_is_refused(ct_series, tmp_path):
    source = replace(first_slice(ct_series(tmp_path)), path=str(tmp_path / "gone.dcm"))

    with pytest.raises(SeriesRefused, match="FileNotFoundError"):
        hounsfield_slice(source)


@pytest.mark.parametrize(
    "padding", [DataElement("PixelPaddingValue", "US", 63536), DataElement("PixelPaddingValue", "SS", -2000)]
)
def test_padding_that_bits_stored_cannot_hold_is_air_and_tissue_stays(ct_series, tmp_path, padding):
    stored = np.full((32, 32), 2096, "<u2")
    stored[:8] = 63536
    how = {"BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0, "PixelPaddingValue": padding}

    hu = hounsfield_slice(first_slice(ct_series(tmp_path, PixelData=stored.tobytes(), **how)))

    assert (hu[:8] == -1024).all()
    assert (hu[8:] == 1072).all()
