"""Findings for tests."""

from lidcflow.nodules.finding import Finding


def finding(**changed):
    """A finding of 6 mm in slice 2, by default without outline and malignancy."""
    facts = {
        "rank": 1,
        "probability": 0.75,
        "channel": "solid",
        "diameter_mm": 6.0,
        "z_mm": 25.0,
        "slice_number": 2,
        "sop_instance_uid": "1.2.1",
        "instance_number": 2,
        "row": 20.0,
        "column": 40.0,
    }
    return Finding(**{**facts, **changed})
