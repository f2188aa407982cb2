import pytest

from lidcflow.dicom.jpeg import sound_lossless, sound_ls

START, END = b"\xff\xd8", b"\xff\xd9"
JFIF = b"\xff\xe0\x00\x04\x85\x01"
COMMENT = b"\xff\xfe\x00\x06name"
FRAME = b"\xff\xc3\x00\x0b\x10\x00\x20\x00\x40\x01\x01\x11\x00"  # 16 bits, 32 x 64, component 1
TABLE = b"\xff\xc4\x00\x06tttt"
SCAN = b"\xff\xda\x00\x08\x01\x01\x00\x01\x00\x00"  # component 1, table 0, predictor 1
VALUES = b"\x12\xff\x00\x34"
LOSSLESS = START + FRAME + TABLE + SCAN + VALUES + END
LS = START + FRAME.replace(b"\xc3", b"\xf7") + SCAN + VALUES + END


def test_a_sound_lossless_image_is_kept_as_it_is():
    assert sound_lossless(LOSSLESS, 32, 64) == LOSSLESS


def test_all_but_the_image_is_left_out():
    found = START + JFIF + b"\xff" + FRAME + COMMENT + TABLE + SCAN + VALUES + END + b"\0\0more"

    assert sound_lossless(found, 32, 64) == LOSSLESS


def test_fill_before_the_end_is_left_out():
    assert sound_lossless(LOSSLESS[:-2] + b"\xff\xff" + END, 32, 64) == LOSSLESS


@pytest.mark.parametrize("length", range(2, len(LOSSLESS) - 1))
def test_an_image_cut_short_anywhere_ends_too_early(length):
    with pytest.raises(EOFError):
        sound_lossless(LOSSLESS[:length], 32, 64)


def test_restarts_may_be_among_the_values_of_an_image_that_announces_them():
    found = LOSSLESS.replace(SCAN, b"\xff\xdd\x00\x04\x00\x40" + SCAN).replace(VALUES, VALUES + b"\xff\xd0" + VALUES)

    assert sound_lossless(found, 32, 64) == found


DAMAGED = {
    "another kind of file": (b"II", START, "no JPEG image"),
    "something between segments": (b"x" + TABLE, TABLE, "damaged header"),
    "a segment of no length": (b"\xff\xc4\x00\x01", TABLE, "damaged header"),
    "a start in the header": (START + TABLE, TABLE, "damaged header"),
    "a lossy image": (b"\xff\xc1", b"\xff\xc3", "another process, frame header FFC1 for FFC3"),
    "two frame headers": (FRAME + FRAME, FRAME, "frame header FFC3 FFC3 for FFC3"),
    "no frame header": (b"", FRAME, "frame header none for FFC3"),
    "another size": (b"\x00\x21\x00\x40", b"\x00\x20\x00\x40", "an image of 33 x 64 x 1 for 32 x 64 pixels"),
    "a billion pixels": (b"\xff\xff\xff\xff", b"\x00\x20\x00\x40", "an image of 65535 x 65535 x 1"),
    "three components": (b"\x40\x03\x01", b"\x40\x01\x01", "an image of 32 x 64 x 3"),
    "eight bits": (b"\x0b\x08", b"\x0b\x10", "an image of 8 bits"),
    "more bits than there are": (b"\x0b\x2d", b"\x0b\x10", "an image of 45 bits"),
    "a scan of another component": (b"\x08\x01\x02", b"\x08\x01\x01", "damaged header"),
    "a scan without predictor": (b"\x01\x00\x00\x00\x00", b"\x01\x00\x01\x00\x00", "scan is not lossless"),
    "a restart nobody announced": (b"\x12\xff\xd0", b"\x12\xff\x00", "a marker among its values"),
    "another image among the values": (b"\x12\xff\xd8", b"\x12\xff\x00", "a marker among its values"),
}


@pytest.mark.parametrize(("new", "old", "found"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_lossless_image_is_refused_and_says_why(new, old, found):
    damaged = LOSSLESS.replace(old, new, 1)
    assert damaged != LOSSLESS

    with pytest.raises(ValueError, match=found):
        sound_lossless(damaged, 32, 64)


def test_a_sound_ls_image_is_kept_as_it_is():
    assert sound_ls(LS + b"\0", 32, 64) == LS + b"\0"


def test_an_ls_image_without_its_end_ends_too_early():
    with pytest.raises(EOFError):
        sound_ls(LS[:-1] + bytes(20), 32, 64)


def test_a_lossless_image_is_no_ls_image():
    with pytest.raises(ValueError, match="frame header FFC3 for FFF7"):
        sound_ls(LOSSLESS, 32, 64)
