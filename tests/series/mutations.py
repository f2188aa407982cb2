"""Mutations of DICOM files, for hypothesis: bytes, elements, lengths, values."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any

import pydicom
from hypothesis import strategies as st
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.valuerep import STANDARD_VR

from lidcflow.dicom.quiet import quiet

HEAD_BYTES = 2048
PREAMBLE_BYTES = 132
ABSURD_LENGTHS = (0, 1, 7, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)
VRS = [vr.value for vr in STANDARD_VR]
NUMBERS = st.sampled_from(["0", "-1", "1", "1e300", "-1e300", "1e-300", "nan", "inf", "", "x", "65535", "2147483648"])
TEXTS = NUMBERS | st.lists(NUMBERS, max_size=7).map("\\".join) | st.text("0123456789.\\-ABC^=ü\0", max_size=70)
BINARY = st.sampled_from([0, 1, 2, 8, 12, 15, 16, 17, 32, 255, 4096, 65535])

Mutation = Callable[[Any, bytes], bytes]


def flipped(draw: Any, content: bytes) -> bytes:
    """Flip bits of the header."""
    mutated = bytearray(content)
    for _ in range(draw(st.integers(1, 16))):
        at = draw(st.integers(PREAMBLE_BYTES, min(HEAD_BYTES, len(mutated)) - 1))
        mutated[at] ^= 1 << draw(st.integers(0, 7))
    return bytes(mutated)


def cut(draw: Any, content: bytes) -> bytes:
    """End the file anywhere."""
    return content[: draw(st.integers(0, len(content)))]


def without_bytes(draw: Any, content: bytes) -> bytes:
    """Leave out some bytes of the header: whatever follows is shifted."""
    at = draw(st.integers(PREAMBLE_BYTES, min(HEAD_BYTES, len(content)) - 1))
    return content[:at] + content[at + draw(st.integers(1, 40)) :]


def with_garbled_element(draw: Any, content: bytes) -> bytes:
    """Replace the VR or the length of an element of an explicit header."""
    starts = _element_offsets(content)
    if not starts:
        return content
    at = draw(st.sampled_from(starts))
    mutated = bytearray(content)
    if draw(st.booleans()):
        mutated[at + 4 : at + 6] = draw(st.sampled_from(VRS)).encode()
    else:
        length = draw(st.sampled_from(ABSURD_LENGTHS) | st.integers(0, 2**32 - 1))
        long = mutated[at + 4 : at + 6] in (b"SQ", b"OB", b"OW", b"UN", b"UT", b"OV")
        where, packed = (at + 8, struct.pack("<L", length)) if long else (at + 6, struct.pack("<H", length & 0xFFFF))
        mutated[where : where + len(packed)] = packed
    return bytes(mutated)


def _element_offsets(content: bytes) -> list[int]:
    """Find what looks like an element with an explicit VR, nested ones too."""
    known = {vr.encode() for vr in VRS}
    end = min(len(content) - 12, 20_000)
    return [at for at in range(PREAMBLE_BYTES, end, 2) if content[at + 4 : at + 6] in known]


def with_other_values(draw: Any, content: bytes) -> bytes:
    """Write the file anew with some values changed or deleted, at the top or in a sequence."""
    try:
        with quiet():
            dataset = pydicom.dcmread(io.BytesIO(content))
            for _ in range(draw(st.integers(1, 3))):
                _change(draw, dataset)
            written = io.BytesIO()
            dataset.save_as(written)
    except Exception:
        return content
    return written.getvalue()


def _change(draw: Any, dataset: Dataset) -> None:
    elements = [element for element in dataset if element.tag != 0x7FE00010]
    element = draw(st.sampled_from(elements)) if elements else None
    if element is None or draw(st.integers(0, 4)) == 0:
        del dataset[element.tag if element is not None else 0x7FE00010]
    elif element.VR == "SQ" and element.value and draw(st.booleans()):
        if draw(st.booleans()):
            _change(draw, draw(st.sampled_from(list(element.value))))
        else:
            element.value = list(element.value) * draw(st.integers(0, 3))
    elif element.VR in ("US", "SS", "UL", "OV"):
        dataset[element.tag] = DataElement(element.tag, "US", draw(BINARY))
    else:
        dataset[element.tag] = DataElement(element.tag, "LO" if element.VR == "SQ" else element.VR, draw(TEXTS))


MUTATIONS: tuple[Mutation, ...] = (flipped, cut, without_bytes, with_garbled_element, with_other_values)
