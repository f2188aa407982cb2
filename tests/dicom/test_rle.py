import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.pixels.encoders.native import _encode_row

from lidcflow.dicom.rle import decode_rle


def frame_of(high, low):
    return struct.pack("<16L", 2, 64, 64 + len(high), *[0] * 13) + high + low


def decoded(frame, shape=(1, 4)):
    stored = np.empty(shape, "<i2")
    decode_rle(frame, stored)
    return stored


def test_runs_and_literals_are_values_of_two_bytes():
    frame = frame_of(b"\xfd\x01", b"\x03\x01\x02\x03\x04")

    np.testing.assert_array_equal(decoded(frame), [[0x101, 0x102, 0x103, 0x104]])


def test_a_control_byte_of_128_means_nothing_and_padding_is_no_fault():
    frame = frame_of(b"\x80\xfd\x00\x00", b"\x03\x01\x02\x03\x04\x00")

    np.testing.assert_array_equal(decoded(frame), [[1, 2, 3, 4]])


@given(st.lists(st.sampled_from([0, 1, -1, 256, 1000]), min_size=4, max_size=4))
def test_what_was_encoded_is_decoded(values):
    stored = np.array([values], "<i2")
    high, low = stored.view(np.uint8).reshape(-1, 2).T[::-1]

    frame = frame_of(_encode_row(high.tobytes()), _encode_row(low.tobytes()))

    np.testing.assert_array_equal(decoded(frame), stored)


BAD = {
    "no header": (b"\2\0\0\0", "without a header"),
    "three segments": (struct.pack("<16L", 3, 64, 64, 64, *[0] * 12), "an RLE frame of 3 segments"),
    "segments that lie elsewhere": (struct.pack("<16L", 2, 64, 9999, *[0] * 13), "an RLE frame of 2 segments"),
    "too few values": (frame_of(b"\xfd\x01", b"\x01\x01\x02"), "an RLE segment of 2 values for 4 pixels"),
}


@pytest.mark.parametrize(("frame", "found"), BAD.values(), ids=BAD)
def test_another_frame_is_refused_and_says_why(frame, found):
    with pytest.raises(ValueError, match=found):
        decoded(frame)


def test_a_hostile_frame_is_decoded_no_further_than_its_pixels():
    bomb = frame_of(b"\x81\x07" * 2**16, b"\x81\x07" * 2**16)

    tracemalloc.start()
    values = decoded(bomb, (32, 32))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert (values == 0x707).all()
    assert peak_bytes < 2**19
