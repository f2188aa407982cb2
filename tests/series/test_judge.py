"""Series that are sound although their headers are odd, and those that only look so."""

import numpy as np
import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from lidcflow.config import PreprocessConfig
from lidcflow.dicom.records import VerdictReason
from lidcflow.headers.reader import HeaderReader
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.series.find import index_files
from lidcflow.source.places import parse_source
from lidcflow.volume.reduce import reduce_series
from tests.series.stacks import STEPS, at, only_verdict


def voxels(verdict):
    return reduce_series(verdict.series, PreprocessConfig(size=16, slices=8)).hu


def test_a_frame_of_reference_for_each_slice_is_flagged(ct_series, tmp_path):
    verdict = only_verdict(ct_series(tmp_path, FrameOfReferenceUID=lambda i: f"1.2.{i}"))

    assert (verdict.flags, len(verdict.series.slices)) == (("frames-of-reference-differ",), 10)
    assert verdict.series.frame_of_reference_uid is None


@pytest.mark.parametrize("frame_of", [lambda i: i // 10, lambda i: (i * i // 3) % 2, lambda i: int(i == 7)])
def test_frames_of_reference_on_one_even_stack_are_one_scan(ct_series, tmp_path, frame_of):
    verdict = only_verdict(ct_series(tmp_path, **at(STEPS), FrameOfReferenceUID=lambda i: f"1.2.{frame_of(i)}"))

    assert verdict.flags == ("frames-of-reference-differ",)


@pytest.mark.parametrize(
    ("z_mm", "frame_of"),
    [
        (STEPS, lambda i: i % 2),
        ([*STEPS[:10], *[z - 30 for z in STEPS[10:]]], lambda i: i // 10),
        ([*STEPS[:10], *STEPS[:10]], lambda i: i // 10),
    ],
    ids=["between each other", "a gap between them", "at the same positions"],
)
def test_two_frames_of_reference_whose_positions_say_so_are_two_scans(ct_series, tmp_path, z_mm, frame_of):
    verdict = only_verdict(ct_series(tmp_path, **at(z_mm), FrameOfReferenceUID=lambda i: f"1.2.{frame_of(i)}"))

    assert verdict.reason is VerdictReason.MIXED_GEOMETRY
    assert "got 2 kinds of FrameOfReferenceUID, the most frequent on 10 of 20" in verdict.sentence


def test_a_frame_of_reference_that_is_no_uid_is_not_kept(ct_series, tmp_path):
    assert only_verdict(ct_series(tmp_path, FrameOfReferenceUID="Lovelace")).series.frame_of_reference_uid is None


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"])
@pytest.mark.parametrize("uid", ["1.2." + "3" * 61, "1.2." + "3" * 62, "1.2.003.04"], ids=["65", "66", "zeros"])
def test_a_uid_that_is_too_long_or_has_leading_zeros_is_used(ct_series, tmp_path, keyword, uid):
    one_slice = keyword in ("SOPInstanceUID", "FrameOfReferenceUID")
    folder = ct_series(tmp_path, **{keyword: (lambda i: uid if i == 4 else ...) if one_slice else uid})

    assert only_verdict(folder).usable


def test_an_instance_is_named_by_digits_and_dots(ct_series, tmp_path):
    folder = ct_series(tmp_path / "a", SOPInstanceUID=lambda i: "1.2..3." if i == 4 else ...)
    named = ct_series(tmp_path / "b", SOPInstanceUID=lambda i: "Lovelace" if i == 4 else ...)

    assert only_verdict(folder).series.slices[4].sop_instance_uid == "1.2..3."
    assert only_verdict(named).reason is VerdictReason.BAD_UID
    assert "in 1 of 10 instances, the first one without a sound UID (InstanceNumber 5)" in only_verdict(named).sentence
    assert "Lovelace" not in only_verdict(named).sentence


def test_a_localizer_with_an_odd_uid_refuses_nothing(ct_series, tmp_path):
    folder = ct_series(
        tmp_path,
        n=11,
        SOPInstanceUID=lambda i: "x" if i == 0 else ...,
        ImageType=lambda i: ["ORIGINAL", "PRIMARY", "LOCALIZER" if i == 0 else "AXIAL"],
    )

    assert (only_verdict(folder).usable, only_verdict(folder).set_aside) == (True, 1)


@pytest.mark.parametrize("everyone_else", ["0.70315", "0.7031500001"])
def test_spacing_and_orientation_are_compared_before_they_are_rounded(ct_series, tmp_path, everyone_else):
    a = 0.0005 + 1e-9
    even = ct_series(tmp_path / "even", series_uid="1.2.3", PixelSpacing=[0.70315, 0.70315])
    odd = ct_series(
        tmp_path / "odd",
        series_uid="1.2.3",
        PixelSpacing=lambda i: ["0.70314999999" if i % 2 else everyone_else] * 2,
        ImageOrientationPatient=lambda i: [1, a if i % 2 else 0.0005 - 1e-9, 0, -a, 1, 0],
    )

    np.testing.assert_array_equal(voxels(only_verdict(odd)), voxels(only_verdict(even)))


def test_the_refusal_of_two_pixel_spacings_names_both(ct_series, tmp_path):
    verdict = only_verdict(ct_series(tmp_path, PixelSpacing=lambda i: [0.7, 0.7] if i < 5 else [0.8, 0.7]))

    assert "got 2 kinds, the largest on 5 of 10: PixelSpacing 0.8\\0.7 there and 0.7\\0.7 in inst" in verdict.sentence


def padded(path, tail):
    dataset = pydicom.dcmread(path)
    dataset.PixelData += tail
    dataset.save_as(path)


@pytest.mark.parametrize("tail", [bytes(512), b"\xff" * 512, b"\x30\xf8" * 256, bytes(2)])
def test_excess_padding_is_no_part_of_the_pixels(ct_series, tmp_path, tail):
    plain = only_verdict(ct_series(tmp_path / "plain", series_uid="1.2.3"))
    folder = ct_series(tmp_path / "padded", series_uid="1.2.3")
    for path in folder.iterdir():
        padded(path, tail)

    verdict = only_verdict(folder)

    assert verdict.flags == ("excess-padding",)
    assert verdict.series.fingerprint == plain.series.fingerprint
    np.testing.assert_array_equal(voxels(verdict), voxels(plain))


def test_excess_that_holds_values_is_refused(ct_series, tmp_path):
    folder = ct_series(tmp_path, series_uid="1.2.3")
    padded(folder / "000004.dcm", bytes(range(256)))

    verdict = only_verdict(folder)

    assert verdict.reason is VerdictReason.UNSUPPORTED_PIXELS
    assert "got 2304 bytes for 32 x 32 pixels with other values after the first 2048 bytes" in verdict.sentence


def test_excess_padding_is_looked_at_in_a_bucket_too(ct_series, tmp_path, upload, objects):
    folder = ct_series(tmp_path)
    padded(folder / "000004.dcm", bytes(100))
    padded(folder / "000005.dcm", bytes(range(100)))

    (verdict,) = index_files(
        parse_source(upload(folder), objects.access).listing(), HeaderReader(PUBLIC_KEY, access=objects.access)
    )

    assert verdict.reason is VerdictReason.UNSUPPORTED_PIXELS


@pytest.mark.parametrize(
    ("keyword", "text"),
    [("PixelSpacing", "10,0\\10,0"), ("RescaleIntercept", "-1024,0"), ("SliceThickness", "2,5")],
)
def test_a_decimal_comma_is_read_as_a_point(ct_series, tmp_path, keyword, text):
    plain = only_verdict(ct_series(tmp_path / "plain", series_uid="1.2.3"))
    folder = ct_series(tmp_path / "comma", series_uid="1.2.3")
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        tag, value = Tag(keyword), text.encode() + b" " * (len(text) % 2)
        dataset.pop(tag)
        dataset.add(RawDataElement(tag, "DS", len(value), value, 0, False, True))
        dataset.save_as(path)

    verdict = only_verdict(folder)

    assert verdict.series.fingerprint == plain.series.fingerprint
    np.testing.assert_array_equal(voxels(verdict), voxels(plain))
