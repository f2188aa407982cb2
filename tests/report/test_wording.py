import pytest

from lidcflow.report.recommendation import SourceImage
from lidcflow.report.wording import facts, image_numbers, image_word, join_words, mm, percent


@pytest.mark.parametrize(
    ("probability", "said"),
    [(0.0, "0%"), (0.001, "<1%"), (0.0099, "<1%"), (0.25, "25%"), (0.994, "99%"), (0.9999, ">99%"), (1.0, "100%")],
)
def test_a_percentage_never_claims_what_is_not_certain(probability, said):
    assert percent(probability) == said


def test_a_small_negative_position_is_not_minus_zero():
    assert mm(-0.01) == "0.0\xa0mm"


def test_image_numbers_are_said_as_runs():
    images = [SourceImage(sop_instance_uid="1.2", instance_number=n, z_mm=0.0) for n in (12, 3, 2, 1, 11)]

    assert image_numbers(images) == "1–3, 11–12"


def test_images_without_numbers_are_said_to_be():
    assert image_numbers([SourceImage(sop_instance_uid="1.2", instance_number=None, z_mm=0.0)]) == "without numbers"


@pytest.mark.parametrize(
    ("words", "said"), [([], ""), (["1"], "1"), (["1", "2"], "1 and 2"), (["1", "2", "3"], "1, 2 and 3")]
)
def test_words_are_listed_as_people_do(words, said):
    assert join_words(words) == said


def test_facts_leave_out_what_is_unknown_and_put_units_beside_values():
    acquisition = {"model": "X", "kvp": 120.0, "kernel": None, "contrast": False, "filter_type": ""}

    assert facts(acquisition) == [("model", "X"), ("tube voltage", "120\xa0kV"), ("contrast", "no")]


def test_frames_are_said_by_their_numbers_and_called_frames():
    images = [SourceImage(sop_instance_uid="1.2", instance_number=1, frame_number=n, z_mm=0.0) for n in (4, 5, 6, 9)]

    assert (image_word(images), image_numbers(images)) == ("frames", "4–6, 9")
