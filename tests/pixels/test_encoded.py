import contextlib
import io
import zlib
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from lidcflow.config import PreprocessConfig
from lidcflow.dicom.elements import inflated
from lidcflow.dicom.records import VerdictReason
from lidcflow.errors import SeriesRefused
from lidcflow.pixels.decode import hounsfield_slice
from lidcflow.series.find import index_folder
from lidcflow.volume.reduce import reduce_series


def series_of(folder):
    return index_folder(folder, secret=b"").usable[0]


def hu_of(folder):
    return np.array([hounsfield_slice(source) for source in series_of(folder).slices])


def mutated(source, content):
    """Write other content to the file of a slice, as if the header pass had seen it."""
    with open(source.path, "wb") as file:
        file.write(content)
    return replace(source, file_bytes=len(content))


def test_every_lossless_syntax_gives_the_same_hounsfield_units(ct_series, encode, tmp_path, lossless_syntax):
    folder = ct_series(tmp_path)
    expected = hu_of(folder)

    encode(folder, lossless_syntax)

    assert {pydicom.dcmread(path).file_meta.TransferSyntaxUID for path in folder.iterdir()} == {lossless_syntax}
    np.testing.assert_array_equal(hu_of(folder), expected)


def test_lossless_compression_changes_neither_flags_nor_fingerprint(ct_series, encode, tmp_path, lossless_syntax):
    plain = series_of(ct_series(tmp_path, RescaleType="HU"))

    series = series_of(encode(tmp_path, lossless_syntax))

    assert series.flags == ()
    assert series.fingerprint == plain.fingerprint


@pytest.mark.parametrize(("bits", "signed"), [(12, False), (12, True), (13, True), (16, False)])
def test_every_bit_depth_and_sign_survives_compression(ct_series, encode, tmp_path, lossless_syntax, bits, signed):
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if signed else (0, 2**bits)
    stored = np.linspace(low, high - 1, 32 * 32).astype("<i4").astype("<u2") & (2**bits - 1)
    how = {"BitsStored": bits, "HighBit": bits - 1, "PixelRepresentation": int(signed), "RescaleIntercept": 0}
    folder = ct_series(tmp_path, n=8, PixelData=stored.tobytes(), **how)
    expected = hu_of(folder)
    if signed:
        decoded = np.where(stored >= 2 ** (bits - 1), stored.astype(int) - 2**bits, stored)
        np.testing.assert_array_equal(expected[0].ravel(), decoded.clip(-1024, 3071))

    np.testing.assert_array_equal(hu_of(encode(folder, lossless_syntax)), expected)


@pytest.mark.parametrize(("syntax", "within"), [(JPEGLSNearLossless, 2), (JPEG2000, 400)])
def test_lossy_syntaxes_are_decoded_near_what_was_encoded(ct_series, encode, tmp_path, syntax, within):
    folder = ct_series(tmp_path, n=8)
    expected = hu_of(folder)

    found = hu_of(encode(folder, syntax, **({"j2k_cr": [3]} if syntax == JPEG2000 else {})))

    assert 0 < np.abs(found - expected).max() <= within


def test_a_compressed_series_reduces_to_the_same_volume(ct_series, encode, tmp_path):
    config = PreprocessConfig(size=16, slices=8)
    expected = reduce_series(series_of(ct_series(tmp_path)), config)

    volume = reduce_series(series_of(encode(tmp_path, JPEGLSLossless)), config)

    np.testing.assert_array_equal(volume.hu, expected.hu)


def test_a_frame_in_several_fragments_is_joined(ct_series, encode, tmp_path):
    folder = ct_series(tmp_path)
    expected = hu_of(folder)
    for path in encode(folder, RLELossless).iterdir():
        dataset = pydicom.dcmread(path)
        dataset.PixelData = encapsulate([get_frame(dataset.PixelData, 0)], fragments_per_frame=4)
        dataset.save_as(path)

    np.testing.assert_array_equal(hu_of(folder), expected)


def test_a_header_longer_than_the_first_read_is_read(ct_series, encode, tmp_path, lossless_syntax):
    folder = ct_series(tmp_path, ImageComments="x" * 10_000, AdditionalPatientHistory="y" * 10_000)
    expected = hu_of(folder)

    np.testing.assert_array_equal(hu_of(encode(folder, lossless_syntax)), expected)


def test_compressed_pixels_without_items_are_refused(ct_series, tmp_path):
    for path in ct_series(tmp_path).iterdir():
        content = path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0")
        path.write_bytes(content.replace(b"OW\0\0\0\x08\0\0", b"OW\0\0\x9c\x07\0\0")[:-100])

    (verdict,) = index_folder(tmp_path, secret=b"")

    assert verdict.reason is VerdictReason.UNSUPPORTED_PIXELS
    assert (
        "TransferSyntaxUID must be that of the pixel data, got RLE Lossless (1.2.840.10008.1.2.5), and 1948 bytes that "
        "are not encapsulated, pixels have 32 x 32 x 2 = 2048 in 10 of 10 instances, the first "
    ) in verdict.sentence


@pytest.mark.parametrize("missing", [20, 100, 300])
def test_a_file_cut_short_is_refused_wherever_it_was_cut(ct_series, encode, tmp_path, lossless_syntax, missing):
    source = series_of(encode(ct_series(tmp_path), lossless_syntax)).slices[0]
    with open(source.path, "rb") as file:
        cut = mutated(source, file.read()[:-missing])

    with pytest.raises(SeriesRefused, match=r"(copy the file|index the source) again") as refused:
        hounsfield_slice(cut)

    assert source.path not in str(refused.value)


def test_a_frame_without_its_end_is_truncated(ct_series, encode, tmp_path):
    source = series_of(encode(ct_series(tmp_path), JPEGLSLossless)).slices[0]
    dataset = pydicom.dcmread(source.path)
    dataset.PixelData = encapsulate([get_frame(dataset.PixelData, 0)[:-200]], has_bot=False)
    written = io.BytesIO()
    dataset.save_as(written)

    with pytest.raises(SeriesRefused, match="must be whole, got a part") as refused:
        hounsfield_slice(mutated(source, written.getvalue()))

    assert refused.value.reason == "truncated"


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless])
def test_an_image_of_another_size_than_its_header_says_is_refused_before_it_is_decoded(
    ct_series, encode, tmp_path, syntax
):
    source = series_of(encode(ct_series(tmp_path), syntax)).slices[0]
    small = replace(source, pixels=replace(source.pixels, rows=16))

    with pytest.raises(SeriesRefused, match="got an image of 32 x 32 x 1 for 16 x 32 pixels") as refused:
        hounsfield_slice(small)

    assert refused.value.reason == "unreadable"


def test_what_decoders_complain_of_is_not_repeated(ct_series, encode, tmp_path, caplog, recwarn):
    source = series_of(encode(ct_series(tmp_path), RLELossless)).slices[0]
    dataset = pydicom.dcmread(source.path)
    dataset.PixelData = encapsulate([b"Lovelace" * 100], has_bot=False)
    written = io.BytesIO()
    dataset.save_as(written)

    with pytest.raises(SeriesRefused, match="got a frame that its decoder refuses"):
        hounsfield_slice(mutated(source, written.getvalue()))

    assert caplog.text == ""
    assert not recwarn.list


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_damaged_frame_crashes_a_decoder(ct_series, encode, tmp_path, lossless_syntax, data):
    folder = tmp_path / "series"
    if not folder.exists():
        encode(ct_series(folder, n=8), lossless_syntax)
    source = series_of(folder).slices[0]
    with open(source.path, "rb") as file:
        original = file.read()
    damaged = bytearray(original)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(min(source.pixel_offset, 500), len(original) - 1))] = data.draw(
            st.integers(0, 255)
        )

    try:
        with contextlib.suppress(SeriesRefused):
            hu = hounsfield_slice(mutated(source, damaged))

            assert -1024 <= hu.min() <= hu.max() <= 3071
    finally:
        mutated(source, original)


def test_a_deflated_file_is_inflated_no_further_than_its_pixels():
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    bomb = deflate.compress(bytes(2**24)) + deflate.flush()

    assert len(inflated(io.BytesIO(bomb), 2**16)) == 2**16


def test_a_small_deflated_file_that_would_inflate_to_much_is_not_taken_into_memory(ct_series, encode, tmp_path):
    folder = encode(ct_series(tmp_path), DeflatedExplicitVRLittleEndian)
    expected = hu_of(folder)
    for path in folder.iterdir():
        with open(path, "ab") as file:
            file.write(bytes(100_000))

    np.testing.assert_array_equal(hu_of(folder), expected)


@pytest.mark.real
def test_the_real_lossless_files_decode_to_identical_hounsfield_units(real_data, tmp_path):
    lossy = ("JPEGProcess1T", "JPEGProcess2_4", "JPEGProcess6_8", "JPEGProcess10_12", "JPEGLSLossy", "JPEG2000T")
    found = {}
    for path in (real_data / "syntaxes").glob("*.dcm"):
        if not path.name.startswith(lossy):
            found[path.name] = hu_of(eight_slices_of(path, tmp_path / path.stem))

    expected = found["as-shipped.dcm"]
    assert len(found) == 10
    assert expected.max() > 1000
    for name, hu in found.items():
        np.testing.assert_array_equal(hu, expected, err_msg=name)


@pytest.mark.real
@pytest.mark.parametrize(("name", "within"), [("JPEGLSLossy", 1), ("JPEG2000T", 5)])
def test_the_real_lossy_files_decode_near_the_original_and_are_flagged(real_data, tmp_path, name, within):
    (path,) = (real_data / "syntaxes").glob(f"{name}*.dcm")
    folder = eight_slices_of(path, tmp_path / "lossy")
    original = hu_of(eight_slices_of(real_data / "syntaxes" / "as-shipped.dcm", tmp_path / "original"))

    assert series_of(folder).flags == ("lossy-compression",)
    assert np.abs(hu_of(folder) - original).max() == within


def eight_slices_of(path, folder):
    """Write a slice at eight places, encoded as it is."""
    folder.mkdir()
    dataset = pydicom.dcmread(path)
    uid, (x, y, z) = dataset.SOPInstanceUID, dataset.ImagePositionPatient
    for number in range(8):
        dataset.SOPInstanceUID = f"{uid}.{number}"[-64:]
        dataset.ImagePositionPatient = [x, y, z + number]
        dataset.save_as(folder / f"{number}.dcm")
    return folder


def test_gdcm_leaves_the_unit_open_and_the_series_is_read_with_a_flag(ct_series, encode, tmp_path):
    assert series_of(encode(ct_series(tmp_path), JPEGLossless)).flags == ("unspecified-units",)


@pytest.mark.parametrize("signed", [0, 1])
def test_a_stream_whose_sign_is_not_that_of_the_header_is_refused(ct_series, encode, tmp_path, signed):
    stored = np.arange(32 * 32, dtype="<u2").tobytes()
    folder = encode(ct_series(tmp_path, PixelData=stored, PixelRepresentation=signed), JPEG2000Lossless)
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.PixelRepresentation = 1 - signed
        dataset.save_as(path)

    with pytest.raises(SeriesRefused, match="PixelRepresentation must be that of its JPEG 2000 stream") as refused:
        hu_of(folder)

    assert refused.value.reason == "unsupported-pixels"


def test_a_subsampled_stream_is_refused_before_it_is_decoded(ct_series, encode, tmp_path):
    folder = encode(ct_series(tmp_path, n=8), JPEG2000Lossless)
    steps = b"\xff\x4f\xff\x51"
    for path in folder.iterdir():
        content = bytearray(path.read_bytes())
        at = content.index(steps) + 4 + 2 + 2 + 8 * 4 + 2 + 1
        assert content[at : at + 2] == b"\1\1"
        content[at : at + 2] = b"\2\2"
        path.write_bytes(content)

    with pytest.raises(SeriesRefused, match="keeps one of 2 rows and of 2 columns"):
        hu_of(folder)
