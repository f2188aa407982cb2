"""A file that is exchanged or written to between index and read never ends in a volume under the old header."""

import os
import shutil

import pydicom
import pytest

from lidcflow.config import PreprocessConfig
from lidcflow.dicom.records import VerdictReason
from lidcflow.errors import SeriesRefused
from lidcflow.pixels import decode
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.series.find import index_folder
from lidcflow.volume.reduce import reduce_series
from tests.enhanced import to_enhanced

CONFIG = PreprocessConfig(slices=8, size=16)


def indexed(folder):
    return index_folder(folder, secret=PUBLIC_KEY).usable[0]


def put_in_place(other, path):
    """Put another file under a name, of the same size and with the times of the old one."""
    before = path.stat()
    assert other.stat().st_size == before.st_size
    shutil.copyfile(other, path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def rewritten(path, **changes):
    dataset = pydicom.dcmread(path)
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path.with_suffix(".new"), enforce_file_format=True)
    return path.with_suffix(".new")


OTHERS = {
    "instance": {"SOPInstanceUID": "1.2.3.99"},
    "patient": {"PatientID": "P2"},
    "place": {"ImagePositionPatient": [-100, -100, 49.0]},
    "rescale": {"RescaleIntercept": -1000},
    "sign": {"PixelRepresentation": 0},
}


@pytest.mark.parametrize("changes", OTHERS.values(), ids=OTHERS)
def test_a_file_with_another_header_is_refused(ct_series, tmp_path, changes):
    folder = ct_series(tmp_path, SOPInstanceUID=lambda i: f"1.2.3.{10 + i}", ImagePositionPatient=lambda i: [0, 0, -i])
    series = indexed(folder)

    other = rewritten(folder / "000005.dcm", **changes)
    shutil.move(other, folder / "000005.dcm")
    longer = (folder / "000005.dcm").stat().st_size != series.slices[4].file_bytes

    with pytest.raises(SeriesRefused) as refused:
        reduce_series(series, CONFIG)

    assert refused.value.reason == VerdictReason.CHANGED
    assert series.slices[4].sop_instance_uid in refused.value.sentence
    assert longer or "has another header now" in refused.value.sentence


def test_another_patients_file_under_the_same_name_with_the_same_times_is_refused(ct_series, tmp_path):
    mine, other = (ct_series(tmp_path / name / "ct", patient_id=name) for name in ("P1", "P2"))
    series = indexed(mine)

    put_in_place(other / "000003.dcm", mine / "000003.dcm")

    with pytest.raises(SeriesRefused, match="has another header now; index the source again"):
        reduce_series(series, CONFIG)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.5"])
def test_so_is_an_encoded_one(ct_series, encode, tmp_path, syntax):
    folder = encode(ct_series(tmp_path, hu=40), syntax)
    series = indexed(folder)

    shutil.move(rewritten(folder / "000003.dcm", PatientID="P2"), folder / "000003.dcm")

    with pytest.raises(SeriesRefused) as refused:
        reduce_series(series, CONFIG)

    assert refused.value.reason == VerdictReason.CHANGED


def test_and_a_multi_frame_object_wherever_its_header_differs(ct_series, tmp_path):
    folder = ct_series(tmp_path, n=40)
    to_enhanced(folder)
    (path,) = folder.iterdir()
    series = indexed(folder)
    reduce_series(series, CONFIG)
    dataset = pydicom.dcmread(path)
    dataset.PerFrameFunctionalGroupsSequence[-1].PlanePositionSequence[0].ImagePositionPatient = [-100, -100, -47.4]

    dataset.save_as(path, enforce_file_format=True)

    with pytest.raises(SeriesRefused) as refused:
        reduce_series(series, CONFIG)

    assert refused.value.reason == VerdictReason.CHANGED


def test_a_file_that_is_written_to_while_it_is_read_is_refused(ct_series, tmp_path, monkeypatch):
    series = indexed(ct_series(tmp_path))
    path = series.slices[4].path

    def read_and_write(file, source, stored, own=decode._READERS[decode.PixelLayout.LITTLE_ENDIAN]):
        own(file, source, stored)
        if source.path == path:
            with open(path, "r+b") as other:
                other.seek(900)
                other.write(b"\1")

    monkeypatch.setitem(decode._READERS, decode.PixelLayout.LITTLE_ENDIAN, read_and_write)

    with pytest.raises(SeriesRefused, match="was written to while it was read") as refused:
        reduce_series(series, CONFIG)

    assert refused.value.reason == VerdictReason.CHANGED


def test_a_touched_file_with_the_same_header_is_read(ct_series, tmp_path):
    folder = ct_series(tmp_path)
    series = indexed(folder)

    (folder / "000003.dcm").chmod(0o600)
    os.utime(folder / "000004.dcm", ns=(1, 1))

    assert reduce_series(series, CONFIG).hu.shape == (2, 8, 16, 16)


def test_the_state_of_a_series_changes_whenever_a_file_may_have_changed(ct_series, tmp_path):
    folder = ct_series(tmp_path / "ct")
    path = folder / "000003.dcm"
    states = [indexed(folder).state]
    for change in (
        lambda: path.write_bytes(path.read_bytes()),
        lambda: path.chmod(0o600),
        lambda: os.utime(path, ns=(1, 1)),
        lambda: shutil.move(shutil.copy2(path, tmp_path / "copy"), path),
    ):
        change()
        states.append(indexed(folder).state)

    assert len(set(states)) == len(states)
    assert indexed(folder).state == states[-1]


def test_the_state_does_not_depend_on_where_the_files_lie(ct_series, tmp_path):
    before = indexed(ct_series(tmp_path / "a")).state

    (tmp_path / "a").rename(tmp_path / "b")

    assert indexed(tmp_path / "b").state == before
