"""Files whose meta header states another transfer syntax than their data are of."""

import zlib

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLosslessSV1,
    RLELossless,
)

from lidcflow.dicom.records import VerdictReason
from lidcflow.pixels.decode import hounsfield_slice
from lidcflow.series.find import index_folder
from tests.enhanced import to_enhanced

EXPLICIT, IMPLICIT, BIG = ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian
DEFLATED, JPEG = DeflatedExplicitVRLittleEndian, JPEGLosslessSV1


def only_verdict(folder):
    (verdict,) = index_folder(folder, secret=b"")
    return verdict


def hu_of(verdict):
    return np.array([hounsfield_slice(source) for source in verdict.series.slices])


def encoded(dataset, syntax):
    """Return the elements of a data set in a transfer syntax."""
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = syntax == IMPLICIT, syntax != BIG
    if syntax == BIG:
        dataset["PixelData"].value = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
    write_dataset(stream, dataset)
    if syntax != DEFLATED:
        return stream.getvalue()
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    content = deflater.compress(stream.getvalue()) + deflater.flush()
    return content + bytes(len(content) % 2)


def rewrite(folder, stated, syntax, change=None):
    """Write every file of a folder anew: its data in one transfer syntax, its meta header with another one."""
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        meta = FileMetaDataset(dataset.file_meta)
        meta.TransferSyntaxUID = stated
        del dataset.file_meta
        if change:
            change(dataset)
        stream = DicomBytesIO()
        stream.write(bytes(128) + b"DICM")
        write_file_meta_info(stream, meta, enforce_standard=True)
        path.write_bytes(stream.getvalue() + encoded(dataset, syntax))


@pytest.mark.parametrize(
    ("stated", "syntax"),
    [
        (EXPLICIT, IMPLICIT),
        (EXPLICIT, BIG),
        (EXPLICIT, DEFLATED),
        (IMPLICIT, EXPLICIT),
        (IMPLICIT, BIG),
        (BIG, EXPLICIT),
        (BIG, IMPLICIT),
        (DEFLATED, EXPLICIT),
        (DEFLATED, IMPLICIT),
        (JPEG, EXPLICIT),
        (JPEG, IMPLICIT),
        (JPEG, BIG),
        (JPEG, DEFLATED),
    ],
    ids=lambda syntax: syntax.name,
)
def test_data_that_tell_their_encoding_are_read_by_it(ct_series, tmp_path, stated, syntax):
    folder = ct_series(tmp_path)
    expected = hu_of(only_verdict(folder))
    rewrite(folder, stated, syntax)

    verdict = only_verdict(folder)

    assert verdict.usable
    assert (stated, syntax) == (EXPLICIT, IMPLICIT) or "transfer-syntax-corrected" in verdict.flags
    np.testing.assert_array_equal(hu_of(verdict), expected)


@pytest.mark.parametrize("stated", [EXPLICIT, IMPLICIT], ids=["explicit", "implicit"])
def test_items_under_a_native_syntax_are_refused_with_both(ct_series, tmp_path, stated):
    def into_items(dataset):
        dataset.PixelData = encapsulate([dataset.PixelData])
        dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True

    rewrite(ct_series(tmp_path), stated, EXPLICIT, into_items)

    verdict = only_verdict(tmp_path)

    assert verdict.reason is VerdictReason.UNSUPPORTED_PIXELS
    assert (
        f"TransferSyntaxUID must be that of the pixel data, got {stated.name} ({stated}), and items as of a compressed "
        "image in 10 of 10 instances, the first "
    ) in verdict.sentence


def test_a_compressed_image_without_items_is_not_taken_for_pixels_of_its_length(ct_series, tmp_path):
    def into_stream(dataset):
        dataset.PixelData = b"\xff\xd8\xff\xc3" + bytes(2044)

    rewrite(ct_series(tmp_path), JPEG, EXPLICIT, into_stream)

    assert "and 2048 bytes that are not encapsulated" in only_verdict(tmp_path).sentence


def test_one_slice_without_rescale_is_named_and_counted(ct_series, tmp_path):
    without = {name: lambda i: None if i == 5 else ... for name in ("RescaleSlope", "RescaleIntercept")}

    verdict = only_verdict(ct_series(tmp_path, **without))

    uid = pydicom.dcmread(tmp_path / "000006.dcm").SOPInstanceUID
    found = (
        f"got RescaleSlope none and RescaleIntercept none in 1 of 10 instances, the first {uid} (InstanceNumber 6); "
    )
    assert found in verdict.sentence


RLE_FOR_NATIVE = b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0"
"""Two transfer syntaxes whose UIDs have one length, so that one can stand for the other in a file."""


def restate(folder, old, new):
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes().replace(old, new, 1))


def test_frames_of_a_multi_frame_object_that_are_native_under_a_compressed_syntax_are_read(ct_series, tmp_path):
    folder = to_enhanced(ct_series(tmp_path))
    expected = hu_of(only_verdict(folder))
    restate(folder, *RLE_FOR_NATIVE)

    verdict = only_verdict(folder)

    assert "transfer-syntax-corrected" in verdict.flags
    np.testing.assert_array_equal(hu_of(verdict), expected)


def test_frames_of_a_multi_frame_object_in_items_under_a_native_syntax_are_refused(ct_series, encode, tmp_path):
    folder = to_enhanced(encode(ct_series(tmp_path), RLELossless))
    restate(folder, *reversed(RLE_FOR_NATIVE))

    verdict = only_verdict(folder)

    assert verdict.reason is VerdictReason.UNSUPPORTED_PIXELS
    assert "and items as of a compressed image in 10 of 10 frames, the first frame 1 of " in verdict.sentence
