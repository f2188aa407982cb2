from dataclasses import dataclass

import pytest

from lidcflow.source.codec import decoder, encoded, shape_of


@dataclass(frozen=True)
class Inner:
    size: tuple[int, ...] | None


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner | None
    all: tuple[Inner, ...] = ()


@pytest.mark.parametrize("value", [Outer("a", Inner((1, 2)), (Inner(None),)), Outer("b", None)])
def test_what_is_decoded_is_what_was_encoded(value):
    assert decoder(Outer)(encoded(value)) == value


def test_a_shape_names_the_fields_of_inner_dataclasses_too():
    assert "size" in shape_of(Outer)


def test_what_is_no_plain_value_is_a_wrong_argument():
    with pytest.raises(TypeError, match="got set"):
        encoded({1})
    with pytest.raises(TypeError, match="got"):
        decoder(set[int])
