import pytest
from hypothesis import given
from hypothesis import strategies as st

from lidcflow.pacs.retrieve import read_parts
from lidcflow.pacs.retry import Passing

TYPE = 'multipart/related; type="application/dicom"; boundary="x y"'


def body(*contents, lengths=True):
    head = b"--x y\r\nContent-Type: application/dicom\r\n"
    return (
        b"".join(
            head + (b"Content-Length: %d\r\n" % len(content) if lengths else b"") + b"\r\n" + content + b"\r\n"
            for content in contents
        )
        + b"--x y--"
    )


def chunked(content, size):
    return [content[start : start + size] for start in range(0, len(content), size)]


@given(
    st.lists(st.binary(max_size=40), min_size=1, max_size=4),
    st.booleans(),
    st.integers(1, 50),
)
def test_parts_come_out_as_they_went_in_however_the_body_is_cut_into_chunks(contents, lengths, size):
    assert list(read_parts(chunked(body(*contents, lengths=lengths), size), TYPE)) == contents


@pytest.mark.parametrize("lengths", [True, False])
def test_a_body_that_ends_early_is_never_taken_for_whole(lengths):
    whole = body(b"first", b"second", lengths=lengths)

    for n_bytes in range(len(whole)):
        with pytest.raises(Passing):
            list(read_parts([whole[:n_bytes]], TYPE))


@pytest.mark.parametrize("length", [b"4", b"6", b"-1", b"99999999999999999999", b"x"])
def test_a_part_of_another_length_than_it_says_is_noticed(length):
    content = body(b"first", b"second").replace(b"Content-Length: 5", b"Content-Length: " + length)

    with pytest.raises(Passing, match=r"length|ends before"):
        list(read_parts([content], TYPE))


@pytest.mark.parametrize("content_type", ["", "text/html", "multipart/related", "application/dicom"])
def test_an_answer_that_is_not_in_parts_is_noticed(content_type):
    with pytest.raises(Passing, match="not in parts"):
        list(read_parts([b"anything"], content_type))
