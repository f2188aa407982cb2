"""Series that are sound although their headers are odd, and those that only look so."""

import numpy as np
import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from lidcflow.config import PreprocessConfig
from lidcflow.headers.reader import HeaderReader
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.series.find import VerdictReason, index_files, index_folder
from lidcflow.source.places import parse_source
from lidcflow.volume.reduce import reduce_series
from tests.enhanced import to_enhanced


def only_verdict(folder, **options):
    (verdict,) = index_folder(folder, secret=PUBLIC_KEY, **options)
    return verdict


def voxels(verdict):
    return reduce_series(verdict.series, PreprocessConfig(size=16, slices=8)).hu


def straight(_i):
    return -100.0


def at(z_mm, x_mm=straight):
    return {"n": len(z_mm), "ImagePositionPatient": lambda i: [x_mm(i), -100.0, z_mm[i]]}


STEPS = [-2.5 * k for k in range(20)]


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


def parts_of(ct_series, folder, *, n_parts=2, total=2, numbers=(1, 2), uids=("1.9", "1.9")):
    """Write the parts of a concatenation of 20 slices."""
    z_mm = STEPS
    for part in range(1, n_parts + 1):
        own = z_mm[(part - 1) * 20 // n_parts : part * 20 // n_parts]

        def change(dataset, part=part):
            dataset.SOPInstanceUID = f"1.9.{part}"
            dataset.ConcatenationUID, dataset.InConcatenationNumber = uids[part - 1], numbers[part - 1]
            if total:
                dataset.InConcatenationTotalNumber = total

        single = ct_series(folder / f"{part}", series_uid="1.2.3", patient_id="P1", StudyInstanceUID="1.5", **at(own))
        to_enhanced(single, change=change)
    return folder


@pytest.mark.parametrize("total", [2, None])
def test_the_parts_of_a_concatenation_are_one_volume(ct_series, tmp_path, total):
    verdict = only_verdict(parts_of(ct_series, tmp_path, total=total))

    assert [source.z_mm for source in verdict.series.slices] == STEPS
    assert {source.sop_instance_uid for source in verdict.series.slices} == {"1.9.1", "1.9.2"}
    assert verdict.sentence == "20 slices of 32 x 32, 2.50 mm apart"


@pytest.mark.parametrize("lost", ["1", "2"])
def test_a_concatenation_that_lacks_a_part_is_refused_by_name(ct_series, tmp_path, lost):
    folder = parts_of(ct_series, tmp_path)
    (folder / lost / "enhanced.dcm").unlink()

    verdict = only_verdict(folder)

    assert verdict.reason is VerdictReason.INCOMPLETE
    assert f"got 1 of 2 parts (InConcatenationNumber {3 - int(lost)}); find part {lost}" in verdict.sentence


def test_parts_of_two_concatenations_are_not_joined(ct_series, tmp_path):
    verdict = only_verdict(parts_of(ct_series, tmp_path, uids=("1.91", "1.92")))

    assert verdict.reason is VerdictReason.MULTI_FRAME


def test_two_parts_of_one_number_are_refused(ct_series, tmp_path):
    verdict = only_verdict(parts_of(ct_series, tmp_path, numbers=(1, 1)))

    assert verdict.reason is VerdictReason.INCOMPLETE


STRAYS = {
    "a page at the origin": [0, 0, 0],
    "a page far above": [0, 0, 700],
    "a slice far below": [-100, -100, -63],
    "a slice between two others": [-100, -100, 41.6],
    "a slice to the side of the lowest": [60, -100, 25],
}


@pytest.mark.parametrize("position_mm", STRAYS.values(), ids=STRAYS)
def test_a_stray_beside_a_whole_stack_is_set_aside(ct_series, tmp_path, position_mm):
    folder = ct_series(tmp_path)
    whole = only_verdict(folder)
    stray = pydicom.dcmread(folder / "000004.dcm")
    stray.SOPInstanceUID, stray.ImagePositionPatient = "1.2.99", position_mm
    stray.save_as(folder / "page.dcm")

    verdict = only_verdict(folder)

    assert (verdict.n_files, verdict.set_aside, verdict.flags) == (11, 1, ("files-set-aside",))
    assert verdict.series.fingerprint == whole.series.fingerprint


SHIFTED = {
    "a block": lambda i: -40.0 if 6 <= i < 14 else -100.0,
    "every other slice": lambda i: -40.0 if i % 2 else -100.0,
    "the lower half": lambda i: -40.0 if i >= 10 else -100.0,
    "one in the middle": lambda i: -40.0 if i == 8 else -100.0,
    "a little more than half a pixel": lambda i: -94.5 if 6 <= i < 14 else -100.0,
}


@pytest.mark.parametrize("x_mm", SHIFTED.values(), ids=SHIFTED)
def test_slices_to_the_side_of_the_others_are_refused(ct_series, tmp_path, x_mm):
    verdict = only_verdict(ct_series(tmp_path, **at(STEPS, x_mm)))

    assert verdict.reason is VerdictReason.MIXED_GEOMETRY
    assert "ImagePositionPatient must move along one line" in verdict.sentence


def test_the_refusal_names_the_shifted_slice_and_how_far(ct_series, tmp_path):
    verdict = only_verdict(ct_series(tmp_path, **at(STEPS, SHIFTED["a block"])))

    assert "got 8 of 20 slices up to 60.0 mm to the side of the others" in verdict.sentence
    assert "the first at z = -15.00 mm, 60.0 mm to the side, in instance 1.2." in verdict.sentence


@pytest.mark.parametrize("x_mm", [lambda i: -100 + 4.0 * (i % 2), lambda i: -100 + 0.04 * i])
def test_origins_within_half_a_pixel_of_a_line_are_used(ct_series, tmp_path, x_mm):
    assert only_verdict(ct_series(tmp_path, **at(STEPS, x_mm))).flags == ()


def test_a_leaning_stack_is_still_told_as_tilt(ct_series, tmp_path):
    assert only_verdict(ct_series(tmp_path, **at(STEPS, lambda i: -100.0 + 0.1 * i))).reason is VerdictReason.TILTED


GAPS = {
    "every third": [k for k in range(36) if k % 3 != 2],
    "every fourth": [k for k in range(36) if k % 4 != 2],
    "every other one of the lower half": [*range(13), *range(14, 40, 2)],
    "two of five": [k for k in range(50) if k % 5 in (0, 1, 3)],
}


@pytest.mark.parametrize("kept", GAPS.values(), ids=GAPS)
def test_missing_slices_are_told_however_regular(ct_series, tmp_path, kept):
    numbered = {"InstanceNumber": lambda i: kept[i] + 1}
    folder = ct_series(tmp_path, **at([-2.5 * k for k in kept]), **numbered)
    first = next(i for i in range(len(kept)) if kept[i + 1] - kept[i] == 2)

    verdict = only_verdict(folder)
    accepted = only_verdict(folder, config=PreprocessConfig(gaps="accept"))

    assert verdict.reason is VerdictReason.MISSING_SLICES
    assert f"near z = {-2.5 * (kept[first] + 1):.1f} mm" in verdict.sentence or kept[:13] == [*range(13)]
    assert accepted.flags == ("missing-slices-accepted",)
    assert accepted.series.slice_spacing_mm == 2.5


def test_a_protocol_of_two_distances_is_no_gap_where_the_slices_are_as_thick(ct_series, tmp_path):
    z_mm = [*[-5.0 * k for k in range(20)], *[-95 - 2.5 * k for k in range(1, 11)]]

    verdict = only_verdict(ct_series(tmp_path, **at(z_mm), SliceThickness=lambda i: 5 if i < 20 else 2.5))
    thin = only_verdict(ct_series(tmp_path / "thin", **at(z_mm), SliceThickness=2.5))

    assert verdict.flags == ("spacing-varies",)
    assert thin.reason is VerdictReason.MISSING_SLICES
