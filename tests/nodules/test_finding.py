import pytest
from pydantic import ValidationError

from lidcflow.nodules.finding import Finding

FIELDS = {
    "rank": 1,
    "probability": 0.93,
    "channel": "solid",
    "diameter_mm": 6.4,
    "z_mm": -117.5,
    "slice_number": 23,
    "sop_instance_uid": "1.2.3",
    "instance_number": 45,
    "row": 210.5,
    "column": 310.0,
}


def test_what_nobody_says_is_left_out_of_its_json():
    assert Finding(**FIELDS).model_dump() == FIELDS


def test_what_is_said_survives_its_json():
    finding = Finding(**FIELDS, malignant=0.25, x_mm=1.0, y_mm=-2.0, frame_number=7)

    assert Finding.model_validate_json(finding.model_dump_json()) == finding
    assert finding.number == 7


def test_it_reaches_half_its_diameter_up_and_down():
    assert Finding(**{**FIELDS, "z_mm": 10.0, "diameter_mm": 4.0}).z_span_mm == (12.0, 8.0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("probability", 1.0),
        ("probability", -0.1),
        ("probability", float("nan")),
        ("malignant", 1.5),
        ("rank", 0),
        ("diameter_mm", 0.0),
        ("slice_number", 0),
        ("row", -0.6),
        ("column", float("inf")),
        ("channel", "calcified"),
        ("outline", ()),
    ],
)
def test_what_can_not_be_is_refused(field, value):
    with pytest.raises(ValidationError, match=field):
        Finding(**{**FIELDS, field: value})
