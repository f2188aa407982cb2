import struct

import pytest

from lidcflow.dicom.codestreams import sound_frame
from lidcflow.dicom.syntaxes import Codestream

END = b"\xff\xd9"
BOXES = b"\0\0\0\x0cjP  \r\n\x87\n"


def jpeg_2000(
    width=64,
    height=32,
    left=0,
    top=0,
    tile_width=64,
    tile_height=32,
    components=1,
    *,
    tile_left=0,
    tile_top=0,
    depth=15,
    steps=(1, 1),
):
    sizes = (width, height, left, top, tile_width, tile_height, tile_left, tile_top)
    siz = struct.pack(">2H8LH3B", 41, 0, *sizes, components, depth, *steps)
    return b"\xff\x4f\xff\x51" + siz + b"packets" + END


def check(frame):
    return sound_frame(frame, Codestream.JPEG_2000, rows=32, columns=64)


@pytest.mark.parametrize("frame", [jpeg_2000(), jpeg_2000() + b"\0", BOXES + jpeg_2000(), jpeg_2000(72, 33, 8, 1)])
def test_a_sound_jpeg_2000_image_is_kept_as_it_is(frame):
    assert check(frame) == frame


@pytest.mark.parametrize(
    ("frame", "found"),
    [
        (b"no image" + END, "no JPEG 2000 image"),
        (jpeg_2000(width=65), "an image of 32 x 65 x 1 for 32 x 64 pixels"),
        (jpeg_2000(width=2**32 - 1, height=2**32 - 1), "an image of 4294967295 x 4294967295 x 1"),
        (jpeg_2000(components=3), "an image of 32 x 64 x 3"),
        (jpeg_2000(tile_width=1, tile_height=1), "an image of 2048 tiles"),
        (jpeg_2000(tile_width=0, tile_height=0), "an image whose first tile has columns 0 to 0"),
        (jpeg_2000(tile_top=1), "an image whose first tile has rows 1 to 33"),
        (jpeg_2000(steps=(2, 1)), "an image that keeps one of 1 rows and of 2 columns"),
        (jpeg_2000(steps=(1, 255)), "an image that keeps one of 255 rows"),
        (jpeg_2000(depth=37), "an image of 38 bits"),
        (
            jpeg_2000(width=2**31 + 64, left=2**31, tile_width=2**32 - 1),
            "an image that begins at row 0 and column 2147",
        ),
        (jpeg_2000(width=40_064, left=40_000, tile_width=2**16), "an image that begins at row 0 and column 40000"),
        (jpeg_2000(height=2**31 + 32, top=2**31, tile_height=2**32 - 1), "an image that begins at row 2147483648"),
    ],
)
def test_another_image_is_refused_and_says_why(frame, found):
    with pytest.raises(ValueError, match=found):
        check(frame)


@pytest.mark.parametrize("frame", [jpeg_2000()[:-1], jpeg_2000()[:20] + END])
def test_a_jpeg_2000_image_without_its_end_ends_too_early(frame):
    with pytest.raises(EOFError):
        check(frame)


def test_run_lengths_are_left_to_their_decoder():
    assert sound_frame(b"anything", Codestream.RLE, rows=32, columns=64) == b"anything"
