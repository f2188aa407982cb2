import shutil

import pydicom
import pytest
from pydicom.uid import JPEGLSLossless, RLELossless

from lidcflow.ct.series import Reason, index_folder
from lidcflow.privacy import PUBLIC_KEY
from tests.ct.enhanced import to_enhanced

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

    assert verdict.reason is Reason.BAD_UID
    assert f"got 2 with other pixels in a second file, the first {min(uids)}" in verdict.sentence


def test_an_instance_with_another_rescale_in_a_second_file_is_refused(ct_series, tmp_path):
    folder = ct_series(tmp_path / "ct")
    copied(folder / "000002.dcm", tmp_path / "more.dcm", RescaleIntercept=-1000)

    assert only_verdict(tmp_path).reason is Reason.BAD_UID


def test_a_copy_of_a_whole_series_is_set_aside(ct_series, tmp_path):
    folder = ct_series(tmp_path / "ct")
    shutil.copytree(folder, tmp_path / "again")

    verdict = only_verdict(tmp_path)

    assert (verdict.reason, verdict.set_aside, len(verdict.series.slices)) == (Reason.USABLE, N, N)


def test_second_names_of_the_same_files_are_not_read(ct_series, tmp_path, monkeypatch):
    folder = ct_series(tmp_path / "ct")
    for path in folder.iterdir():
        path.with_name(f"again-{path.name}").hardlink_to(path)
    monkeypatch.setattr("lidcflow.ct.same_image.raw_pixels", lambda *_: pytest.fail("pixels were read"))

    assert only_verdict(tmp_path).set_aside == N


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
def test_a_compressed_copy_of_the_same_pixels_is_set_aside(ct_series, encode, tmp_path, syntax):
    folder = ct_series(tmp_path / "ct", hu=lambda i: 40 + i)
    encode(shutil.copytree(folder, tmp_path / "again"), syntax)

    verdict = only_verdict(tmp_path)

    assert (verdict.reason, verdict.set_aside) == (Reason.USABLE, N)
    assert {source.transfer_syntax_uid for source in verdict.series.slices} == {"1.2.840.10008.1.2.1"}


def test_a_compressed_copy_of_other_pixels_is_refused(ct_series, encode, tmp_path):
    folder = ct_series(tmp_path / "ct", hu=40, series_uid="1.2.3", SOPInstanceUID=lambda i: f"1.2.3.{i}")
    other = ct_series(tmp_path / "again", hu=41, series_uid="1.2.3", SOPInstanceUID=lambda i: f"1.2.3.{i}")
    for path in [*folder.iterdir(), *other.iterdir()]:
        copied(path, path, StudyInstanceUID="1.2", FrameOfReferenceUID="1.4")
    encode(other, RLELossless)

    verdict = only_verdict(tmp_path)

    assert verdict.reason is Reason.BAD_UID
    assert f"got {N} with other pixels" in verdict.sentence


def test_a_copy_that_was_cut_short_is_set_aside(ct_series, tmp_path):
    folder = ct_series(tmp_path / "ct")
    shutil.copy(folder / "000002.dcm", tmp_path / "more.dcm")
    content = (tmp_path / "more.dcm").read_bytes()
    (tmp_path / "more.dcm").write_bytes(content[:-500])

    assert only_verdict(tmp_path).reason is Reason.USABLE


def test_a_multi_frame_object_with_other_pixels_in_a_second_file_is_refused(ct_series, tmp_path):
    folder = ct_series(tmp_path / "ct", n=12)
    to_enhanced(folder)
    (path,) = folder.iterdir()
    shutil.copy(path, tmp_path / "same.dcm")

    assert only_verdict(tmp_path).usable

    copied(path, tmp_path / "other.dcm", PixelData=with_one_other_pixel(path))

    assert only_verdict(tmp_path).reason is Reason.BAD_UID


SHARED = {
    "the same pixels of one patient": ({}, [Reason.USABLE] * 2),
    "other pixels": ({"hu": 41}, [Reason.BAD_UID] * 2),
    "another patient": ({"patient_id": "B"}, [Reason.BAD_UID] * 2),
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
