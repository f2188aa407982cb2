"""Elements of a header, read within a budget."""

import io

import pytest

from lidcflow.dicom.elements import BoundedStream, Budget


def test_a_header_is_read_within_its_budget():
    stream = BoundedStream(io.BytesIO(bytes(100)), Budget(n_bytes=10, pieces=3))

    assert len(stream.read(4)) == 4
    with pytest.raises(ValueError, match="no longer than a header is"):
        stream.read(50)
