"""What is no CT is passed over and counted; CT whose headers are odd is refused aloud."""

import pytest

from lidcflow.dicom.records import VerdictReason
from lidcflow.headers import header as headers
from lidcflow.series.find import index_folder
from lidcflow.series.verdicts import listed_kinds

STORAGE = "1.2.840.10008.5.1.4.1.1"


def index(folder):
    return index_folder(folder, secret=b"")


@pytest.mark.parametrize(
    ("modality", "sop_class", "kind"),
    [
        ("DX", "1.1", "DX"),
        ("CR", "1", "CR"),
        ("MR", "4", "MR"),
        ("PT", "128", "PT"),
        ("SEG", "66.4", "SEG"),
        ("SR", "88.33", "SR"),
        ("SR", "88.67", "SR"),
        ("KO", "88.59", "KO"),
        ("PR", "11.1", "PR"),
        ("REG", "66.1", "REG"),
        ("RTSTRUCT", "481.3", "RTSTRUCT"),
        ("RTDOSE", "481.2", "RTDOSE"),
        ("OT", "7", "OT"),
        ("CT", "7", "Secondary Capture"),
        (None, "481.3", "RT Structure Set"),
    ],
)
def test_other_objects_are_counted_by_modality_and_are_not_refused(ct_series, tmp_path, modality, sop_class, kind):
    ct_series(tmp_path / "a")
    bare = {"PixelData": None, "ImagePositionPatient": None, "StudyInstanceUID": None, "RescaleSlope": None}
    ct_series(tmp_path / "b", n=2, Modality=modality, SOPClassUID=f"{STORAGE}.{sop_class}", **bare)

    found = index(tmp_path)

    assert (len(found.usable), found.refused, found.others) == (1, [], {kind: 1})
    assert sorted(str(verdict.reason) for verdict in found) == ["not-ct", "usable"]


def test_localizers_alone_are_counted_as_such(ct_series, tmp_path):
    ct_series(tmp_path, n=2, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])

    found = index(tmp_path)

    assert (found.refused, listed_kinds(found.others)) == ([], "1 localizer series")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"Modality": None}, "Modality must be CT, got none in 10 of 10 instances, the first "),
        ({"Modality": "LOVELACE"}, "Modality must be CT, got values that are no modality in 10 of 10 instances"),
        ({"SOPClassUID": "1.2.3"}, "SOPClassUID must be that of CT images, got 1.2.3 in 10 of 10 instances"),
    ],
)
def test_a_series_that_may_be_ct_is_refused_with_what_its_headers_lack(ct_series, tmp_path, values, sentence):
    (verdict,) = index(ct_series(tmp_path, **values)).refused

    assert verdict.reason is VerdictReason.UNREADABLE
    assert sentence in verdict.sentence
    assert "LOVELACE" not in verdict.sentence


def test_a_plan_too_long_to_be_a_header_is_still_a_plan_and_a_ct_is_not(ct_series, tmp_path, monkeypatch):
    def too_long(path, opened):
        raise ValueError("a header must be no longer than a header is")

    ct_series(tmp_path / "plan", n=1, Modality="RTSTRUCT", SOPClassUID=f"{STORAGE}.481.3", PixelData=None)
    ct_series(tmp_path / "ct", n=1, PixelData=None)
    monkeypatch.setattr(headers, "parse_file", too_long)

    found = index(tmp_path)

    assert (found.others, found.refused, found.unreadable) == ({"RTSTRUCT": 1}, [], 1)
