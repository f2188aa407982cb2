"""The frames of a compressed image, out of their items."""

import pytest

from lidcflow.dicom.frames import joined_items

ITEM, DELIMITER = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0\0\0\0\0"


OFFSET_TABLE = ITEM + b"\0\0\0\0"


def test_items_are_joined_without_the_offset_table():
    content = OFFSET_TABLE + ITEM + b"\2\0\0\0ab" + ITEM + b"\2\0\0\0cd" + DELIMITER + b"trailing elements"

    assert joined_items(content) == b"abcd"


def test_a_last_delimiter_that_is_lacking_is_no_loss():
    assert joined_items(OFFSET_TABLE + ITEM + b"\2\0\0\0ab") == b"ab"


@pytest.mark.parametrize("content", [b"", OFFSET_TABLE, OFFSET_TABLE + DELIMITER, OFFSET_TABLE + ITEM + b"\4\0\0\0abc"])
def test_items_that_are_not_all_there_are_an_end_of_file(content):
    with pytest.raises(EOFError):
        joined_items(content)


def test_something_else_than_items_is_no_frame():
    with pytest.raises(ValueError, match="not made of items"):
        joined_items(OFFSET_TABLE + b"\x10\x00\x10\x00\2\0\0\0ab")
