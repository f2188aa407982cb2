import pydicom
import pytest
from pydicom.uid import JPEGLSLossless, RLELossless

from lidcflow.ct.series import Reason, index_folder
from lidcflow.privacy import PUBLIC_KEY


def only_verdict(folder):
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

    verdict = only_verdict(folder)

    assert verdict.flags == verdict.series.flags == ("duplicates-set-aside",)
    assert (verdict.n_files, verdict.set_aside, len(verdict.series.slices)) == (11, 1, 10)
    assert verdict.series.slices[3].instance_number == min(number, 4)


def test_a_series_that_was_sent_twice_is_used_once(ct_series, tmp_path):
    folder = ct_series(tmp_path)
    for number, path in enumerate(sorted(folder.iterdir()), start=101):
        sent_again(path, number)

    verdict = only_verdict(folder)

    assert (verdict.set_aside, [source.instance_number for source in verdict.series.slices]) == (10, [*range(1, 11)])


def test_an_image_without_a_number_is_the_one_set_aside(ct_series, tmp_path):
    folder = ct_series(tmp_path)
    sent_again(folder / "000004.dcm", 99, InstanceNumber=None)

    assert only_verdict(folder).series.slices[3].instance_number == 4


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
def test_the_same_image_twice_is_known_by_its_compressed_bytes(ct_series, encode, tmp_path, syntax):
    folder = encode(ct_series(tmp_path), syntax)
    sent_again(folder / "000004.dcm", 99)

    assert only_verdict(folder).flags == ("duplicates-set-aside",)


def test_the_same_deflated_image_twice_is_known_by_its_pixels(ct_series, encode, tmp_path):
    folder = encode(ct_series(tmp_path), "1.2.840.10008.1.2.1.99")
    sent_again(folder / "000004.dcm", 99)

    assert only_verdict(folder).flags == ("duplicates-set-aside",)


DIFFERENT = {
    "one pixel": {"PixelData": b"\1\0" + bytes(2046)},
    "rescale": {"RescaleIntercept": -1000},
    "format": {"BitsStored": 12, "HighBit": 11},
}


@pytest.mark.parametrize("changes", DIFFERENT.values(), ids=DIFFERENT)
def test_different_images_at_one_position_are_refused(ct_series, tmp_path, changes):
    folder = ct_series(tmp_path, hu=-1024)
    sent_again(folder / "000004.dcm", 99, **changes)

    verdict = only_verdict(folder)

    assert verdict.reason is Reason.DUPLICATE_POSITIONS
    assert "got 1 of 11 at the position of another, the first at z = 42.50 mm" in verdict.sentence


def test_the_same_image_in_two_encodings_counts_as_different_and_the_sentence_says_the_way_out(
    ct_series, encode, tmp_path
):
    folder = ct_series(tmp_path / "series")
    (tmp_path / "aside").mkdir()
    again = sent_again(folder / "000004.dcm", 99)
    again.rename(tmp_path / "aside" / "again.dcm")
    encode(tmp_path / "aside", RLELossless)

    verdict = only_verdict(tmp_path)

    assert verdict.reason is Reason.DUPLICATE_POSITIONS
    assert "of images that were sent twice in other encodings remove one" in verdict.sentence


def test_two_acquisitions_in_one_series_are_refused_and_named(ct_series, tmp_path):
    folder = ct_series(
        tmp_path,
        n=20,
        AcquisitionNumber=lambda i: 1 + i % 2,
        ImagePositionPatient=lambda i: [0, 0, -2.5 * (i // 2)],
    )

    verdict = only_verdict(folder)

    assert verdict.reason is Reason.MIXED_ACQUISITIONS
    assert "got 10 of 20 at the position of another" in verdict.sentence
    assert "two acquisitions in one series" in verdict.sentence


def test_an_acquisition_number_of_its_own_on_each_slice_is_no_harm(ct_series, tmp_path):
    assert only_verdict(ct_series(tmp_path, AcquisitionNumber=lambda i: i)).flags == ()


def test_pixels_are_read_only_where_positions_are_double(ct_series, tmp_path, monkeypatch):
    read = []
    folder = ct_series(tmp_path)
    sent_again(folder / "000004.dcm", 99)
    monkeypatch.setattr("lidcflow.ct.doubles.raw_pixels", lambda source, _access: read.append(source.z_mm) or b"")

    only_verdict(folder)

    assert read == [42.5, 42.5]


def test_a_double_whose_file_vanished_under_way_refuses_the_series(ct_series, tmp_path, monkeypatch):
    folder = ct_series(tmp_path)
    sent_again(folder / "000004.dcm", 99)

    def vanish(source, _access):
        raise FileNotFoundError(source.path)

    monkeypatch.setattr("lidcflow.ct.doubles.raw_pixels", vanish)
    verdict = only_verdict(folder)

    assert verdict.reason is Reason.UNREADABLE
    assert str(tmp_path) not in verdict.sentence
