import pytest

from lidcflow.dicom.values import integer_of, is_uid, label_of, numbers_of, raw_text


@pytest.mark.parametrize("value", ["1", "1.2.840.10008", "1." + "3" * 62, "1." + "3" * 64, "1.2.003"])
def test_digits_and_dots_are_a_uid(value):
    assert is_uid(value)


@pytest.mark.parametrize("value", ["", ".", "..", "../../x", "1..2", "1.2/3", "1.2\n", "1" * 129, "1.²"])
def test_anything_that_could_leave_its_folder_is_no_uid(value):
    assert not is_uid(value)


@pytest.mark.parametrize("value", [b"1\\2", b"1\\2\\x", b"1\\2\\nan", b"1\\2\\inf", b"", None, [1, 2, None]])
def test_a_position_that_is_not_three_finite_numbers_is_none(value):
    assert numbers_of(value, 3) is None


def test_undecoded_decimal_strings_become_numbers():
    assert numbers_of(b"-166.000000\\-171.699997\\-10.000000 ", 3) == (-166.0, -171.699997, -10.0)


def test_padding_of_undecoded_values_is_dropped():
    assert raw_text(b"1.2.3\0") == "1.2.3"


def test_a_fraction_is_no_whole_number():
    assert (integer_of("12 "), integer_of("12.5"), integer_of("x")) == (12, None, None)


def test_labels_are_cut_to_what_the_standard_allows():
    assert label_of("k" * 70) == "k" * 64
