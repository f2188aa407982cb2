import shutil

import pydicom
import pytest
from pydicom.uid import JPEGLSLossless, RLELossless

from lidcflow.dicom.records import VerdictReason
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.series.find import index_folder
from tests.enhanced import to_enhanced


def verdict_of_doubles(folder):
    (verdict,) = index_folder(folder, secret=PUBLIC_KEY)
    return verdict


def sent_again(path, number, **changes):
    """Write the image of a file once more under another UID, as some archives do."""
    dataset = pydicom.dcmread(path)
    dataset.SOPInstanceUID = f"{dataset.SOPInstanceUID[:50]}.{number}"
    dataset.InstanceNumber = number
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path.with_name(f"again-{number}.dcm"), enforce_file_format=True)
    return path.with_name(f"again-{number}.dcm")


@pytest.mark.parametrize("number", [0, 99])
def test_of_the_same_image_twice_the_lower_instance_number_is_kept(ct_series, tmp_path, number):
    folder = ct_series(tmp_path)
    sent_again(folder / "000004.dcm", number)

    verdict = verdict_of_doubles(folder)

    assert verdict.flags == verdict.series.flags == ("duplicates-set-aside",)
    assert (verdict.n_files, verdict.set_aside, len(verdict.series.slices)) == (11, 1, 10)
    assert verdict.series.slices[3].instance_number == min(number, 4)


def test_a_series_that_was_sent_twice_is_used_once(ct_series, tmp_path):
    folder = ct_series(tmp_path)
    for number, path in enumerate(sorted(folder.iterdir()), start=101):
        sent_again(path, number)

    verdict = verdict_of_doubles(folder)

    assert (verdict.set_aside, [source.instance_number for source in verdict.series.slices]) == (10, [*range(1, 11)])


def test_an_image_without_a_number_is_the_one_set_aside(ct_series, tmp_path):
    folder = ct_series(tmp_path)
    sent_again(folder / "000004.dcm", 99, InstanceNumber=None)

    assert verdict_of_doubles(folder).series.slices[3].instance_number == 4


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
def test_the_same_image_twice_is_known_by_its_compressed_bytes(ct_series, encode, tmp_path, syntax):
    folder = encode(ct_series(tmp_path), syntax)
    sent_again(folder / "000004.dcm", 99)

    assert verdict_of_doubles(folder).flags == ("duplicates-set-aside",)


def test_the_same_deflated_image_twice_is_known_by_its_pixels(ct_series, encode, tmp_path):
    folder = encode(ct_series(tmp_path), "1.2.840.10008.1.2.1.99")
    sent_again(folder / "000004.dcm", 99)

    assert verdict_of_doubles(folder).flags == ("duplicates-set-aside",)


DIFFERENT = {
    "one pixel": {"PixelData": b"\1\0" + bytes(2046)},
    "rescale": {"RescaleIntercept": -1000},
    "format": {"BitsStored": 12, "HighBit": 11},
}


@pytest.mark.parametrize("changes", DIFFERENT.values(), ids=DIFFERENT)
def test_different_images_at_one_position_are_refused(ct_series, tmp_path, changes):
    folder = ct_series(tmp_path, hu=-1024)
    sent_again(folder / "000004.dcm", 99, **changes)

    verdict = verdict_of_doubles(folder)

    assert verdict.reason is VerdictReason.DUPLICATE_POSITIONS
    assert "got 1 of 11 at the position of another, the first at z = 42.50 mm" in verdict.sentence


def test_the_same_image_in_two_encodings_counts_as_different_and_the_sentence_says_the_way_out(
    ct_series, encode, tmp_path
):
    folder = ct_series(tmp_path / "series")
    (tmp_path / "aside").mkdir()
    again = sent_again(folder / "000004.dcm", 99)
    again.rename(tmp_path / "aside" / "again.dcm")
    encode(tmp_path / "aside", RLELossless)

    verdict = verdict_of_doubles(tmp_path)

    assert verdict.reason is VerdictReason.DUPLICATE_POSITIONS
    assert "of images that were sent twice in other encodings remove one" in verdict.sentence


def test_two_acquisitions_in_one_series_are_refused_and_named(ct_series, tmp_path):
    folder = ct_series(
        tmp_path,
        n=20,
        AcquisitionNumber=lambda i: 1 + i % 2,
        ImagePositionPatient=lambda i: [0, 0, -2.5 * (i // 2)],
    )

    verdict = verdict_of_doubles(folder)

    assert verdict.reason is VerdictReason.MIXED_ACQUISITIONS
    assert "got 10 of 20 at the position of another" in verdict.sentence
    assert "two acquisitions in one series" in verdict.sentence


def test_an_acquisition_number_of_its_own_on_each_slice_is_no_harm(ct_series, tmp_path):
    assert verdict_of_doubles(ct_series(tmp_path, AcquisitionNumber=lambda i: i)).flags == ()


def test_pixels_are_read_only_where_positions_are_double(ct_series, tmp_path, monkeypatch):
    read = []
    folder = ct_series(tmp_path)
    sent_again(folder / "000004.dcm", 99)
    monkeypatch.setattr("lidcflow.series.copies.raw_pixels", lambda source, _access: read.append(source.z_mm) or b"")

    verdict_of_doubles(folder)

    assert read == [42.5, 42.5]


def test_a_double_whose_file_vanished_under_way_refuses_the_series(ct_series, tmp_path, monkeypatch):
    folder = ct_series(tmp_path)
    sent_again(folder / "000004.dcm", 99)

    def vanish(source, _access):
        raise FileNotFoundError(source.path)

    monkeypatch.setattr("lidcflow.series.copies.raw_pixels", vanish)
    verdict = verdict_of_doubles(folder)

    assert verdict.reason is VerdictReason.UNREADABLE
    assert str(tmp_path) not in verdict.sentence


N = 10


def verdicts(folder):
    return index_folder(folder, secret=PUBLIC_KEY)


def only_verdict(folder):
    (verdict,) = verdicts(folder)
    return verdict


def copied(path, target, **changes):
    """Write an image again under its own UID, some values changed."""
    dataset = pydicom.dcmread(path)
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    target.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(target, enforce_file_format=True)
    return str(dataset.SOPInstanceUID)


def with_one_other_pixel(path):
    pixels = bytearray(pydicom.dcmread(path).PixelData)
    pixels[100] ^= 1
    return bytes(pixels)


def test_an_instance_with_other_pixels_in_a_second_file_is_refused(ct_series, tmp_path):
    folder = ct_series(tmp_path / "ct")
    names = [f"00000{k}.dcm" for k in (2, 5)]
    uids = [
        copied(folder / name, tmp_path / "more" / name, PixelData=with_one_other_pixel(folder / name)) for name in names
    ]

    verdict = only_verdict(tmp_path)

    assert verdict.reason is VerdictReason.BAD_UID
    assert f"got 2 with other pixels in a second file, the first {min(uids)}" in verdict.sentence


def test_an_instance_with_another_rescale_in_a_second_file_is_refused(ct_series, tmp_path):
    folder = ct_series(tmp_path / "ct")
    copied(folder / "000002.dcm", tmp_path / "more.dcm", RescaleIntercept=-1000)

    assert only_verdict(tmp_path).reason is VerdictReason.BAD_UID


def test_a_copy_of_a_whole_series_is_set_aside(ct_series, tmp_path):
    folder = ct_series(tmp_path / "ct")
    shutil.copytree(folder, tmp_path / "again")

    verdict = only_verdict(tmp_path)

    assert (verdict.reason, verdict.set_aside, len(verdict.series.slices)) == (VerdictReason.USABLE, N, N)


def test_second_names_of_the_same_files_are_not_read(ct_series, tmp_path, monkeypatch):
    folder = ct_series(tmp_path / "ct")
    for path in folder.iterdir():
        path.with_name(f"again-{path.name}").hardlink_to(path)
    monkeypatch.setattr("lidcflow.pixels.compare.raw_pixels", lambda *_: pytest.fail("pixels were read"))

    assert only_verdict(tmp_path).set_aside == N


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
def test_a_compressed_copy_of_the_same_pixels_is_set_aside(ct_series, encode, tmp_path, syntax):
    folder = ct_series(tmp_path / "ct", hu=lambda i: 40 + i)
    encode(shutil.copytree(folder, tmp_path / "again"), syntax)

    verdict = only_verdict(tmp_path)

    assert (verdict.reason, verdict.set_aside) == (VerdictReason.USABLE, N)
    assert {source.transfer_syntax_uid for source in verdict.series.slices} == {"1.2.840.10008.1.2.1"}


def test_a_compressed_copy_of_other_pixels_is_refused(ct_series, encode, tmp_path):
    folder = ct_series(tmp_path / "ct", hu=40, series_uid="1.2.3", SOPInstanceUID=lambda i: f"1.2.3.{i}")
    other = ct_series(tmp_path / "again", hu=41, series_uid="1.2.3", SOPInstanceUID=lambda i: f"1.2.3.{i}")
    for path in [*folder.iterdir(), *other.iterdir()]:
        copied(path, path, StudyInstanceUID="1.2", FrameOfReferenceUID="1.4")
    encode(other, RLELossless)

    verdict = only_verdict(tmp_path)

    assert verdict.reason is VerdictReason.BAD_UID
    assert f"got {N} with other pixels" in verdict.sentence


def test_a_copy_that_was_cut_short_is_set_aside(ct_series, tmp_path):
    folder = ct_series(tmp_path / "ct")
    shutil.copy(folder / "000002.dcm", tmp_path / "more.dcm")
    content = (tmp_path / "more.dcm").read_bytes()
    (tmp_path / "more.dcm").write_bytes(content[:-500])

    assert only_verdict(tmp_path).reason is VerdictReason.USABLE


def test_a_multi_frame_object_with_other_pixels_in_a_second_file_is_refused(ct_series, tmp_path):
    folder = ct_series(tmp_path / "ct", n=12)
    to_enhanced(folder)
    (path,) = folder.iterdir()
    shutil.copy(path, tmp_path / "same.dcm")

    assert only_verdict(tmp_path).usable

    copied(path, tmp_path / "other.dcm", PixelData=with_one_other_pixel(path))

    assert only_verdict(tmp_path).reason is VerdictReason.BAD_UID


SHARED = {
    "the same pixels of one patient": ({}, [VerdictReason.USABLE] * 2),
    "other pixels": ({"hu": 41}, [VerdictReason.BAD_UID] * 2),
    "another patient": ({"patient_id": "B"}, [VerdictReason.BAD_UID] * 2),
}


@pytest.mark.parametrize(("changes", "reasons"), SHARED.values(), ids=SHARED)
def test_instances_that_two_series_share_must_be_one_image(ct_series, tmp_path, changes, reasons):
    shared = {"hu": 40, "patient_id": "A", "SOPInstanceUID": lambda i: f"1.2.3.{i}"}
    ct_series(tmp_path / "a", series_uid="1.2.4", **shared)
    ct_series(tmp_path / "b", series_uid="1.2.5", **{**shared, **changes})

    found = verdicts(tmp_path)

    assert [verdict.reason for verdict in found] == reasons
    for verdict in found.refused:
        assert f"got {N} that another series has too" in verdict.sentence
        assert "the first 1.2.3.0" in verdict.sentence
        assert verdict.study_instance_uid
