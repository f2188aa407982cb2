"""Files without preamble, prefix or meta header, as some archives export them."""

import time

import numpy as np
import pydicom
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import RLELossless

from lidcflow.config import Access, PreprocessConfig
from lidcflow.dicom.encoding import encoding_of, start_of
from lidcflow.dicom.records import VerdictReason
from lidcflow.documents.source_header import source_header
from lidcflow.headers.cache import HeaderCache
from lidcflow.headers.reader import HeaderReader
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.series.find import index_folder
from lidcflow.source.files import SourceFile
from lidcflow.source.folder import list_folder
from lidcflow.volume.reduce import reduce_series

PREFIX = bytes(128) + b"DICM"
ENCODINGS = {"explicit": (False, True), "implicit": (True, True), "big endian": (False, False)}
STARTS = {"nothing": b"", "a preamble and a prefix": PREFIX, "an empty preamble": bytes(128)}


def index(folder):
    return index_folder(folder, secret=PUBLIC_KEY)


def voxels(verdict):
    return reduce_series(verdict.series, PreprocessConfig(size=16, slices=8)).hu


def without_meta(path, start, *, implicit, little):
    """Write a file anew as nothing but `start` and its data set."""
    read, dataset = pydicom.dcmread(path), Dataset()
    for element in read:
        dataset.add(DataElement(element.tag, element.VR, element.value))
    if not little:
        dataset.PixelData = np.frombuffer(read.PixelData, "<i2").astype(">i2").tobytes()
        dataset["PixelData"].VR = "OW"
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = implicit, little
    write_dataset(stream, dataset)
    path.write_bytes(start + stream.getvalue())


@pytest.mark.parametrize("comment", ["short", "x" * 9_000], ids=["short header", "long header"])
@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
@pytest.mark.parametrize(("implicit", "little"), ENCODINGS.values(), ids=ENCODINGS)
def test_a_file_without_meta_header_is_read_as_its_first_elements_tell(
    ct_series, tmp_path, start, implicit, little, comment
):
    (plain,) = index(
        ct_series(tmp_path / "plain", series_uid="1.2.3", ImageComments=comment, AdditionalPatientHistory=comment)
    )
    folder = ct_series(tmp_path / "bare", series_uid="1.2.3", ImageComments=comment, AdditionalPatientHistory=comment)
    for path in folder.iterdir():
        without_meta(path, start, implicit=implicit, little=little)

    (bare,) = index(folder)

    assert bare.series.fingerprint == plain.series.fingerprint
    np.testing.assert_array_equal(voxels(bare), voxels(plain))


def test_a_file_that_begins_with_its_meta_header_is_read(ct_series, tmp_path):
    folder = ct_series(tmp_path)
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[len(PREFIX) :])

    (verdict,) = index(folder)

    assert verdict.usable


def test_the_codec_of_compressed_pixels_is_not_guessed(ct_series, encode, tmp_path):
    folder = encode(ct_series(tmp_path), RLELossless)
    for path in folder.iterdir():
        content = path.read_bytes()
        path.write_bytes(content[content.index(b"\x08\0\x08\0CS") :])

    (verdict,) = index(folder)

    assert verdict.reason is VerdictReason.UNSUPPORTED_SYNTAX
    assert "got none" in verdict.sentence


def test_the_header_for_documents_is_read_from_a_bare_file_too(ct_series, tmp_path):
    path = ct_series(tmp_path, patient_id="P7") / "000003.dcm"
    without_meta(path, b"", implicit=True, little=True)

    header = source_header(SourceFile(str(path), path.stat().st_size, ""), Access())

    assert header.PatientID == "P7"


def test_a_bare_file_is_remembered_by_the_cache(ct_series, tmp_path):
    folder = ct_series(tmp_path / "ct")
    for path in folder.iterdir():
        without_meta(path, b"", implicit=False, little=True)
    files = list_folder(folder).files

    with HeaderCache(tmp_path / "headers.db", PUBLIC_KEY) as cache:
        first = [outcome for _, found in HeaderReader(PUBLIC_KEY, cache=cache).read(files) for outcome in found]
        again = cache.known(files)

    assert again == first


JUNK = {
    "a text": b"\x08\0 begins like an element, but is a text " * 40,
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8,
    "eights": np.full(500, 8, "<i4").tobytes(),
    "numbers": np.arange(8, 1508, dtype="<i2").tobytes(),
    "zeros": bytes(5000),
    "a group of its own": b"\x08\0\x05\0CS\x0a\0ISO_IR 100" + b"\xff" * 400,
}


@pytest.mark.parametrize("content", JUNK.values(), ids=JUNK)
def test_what_is_not_dicom_stays_so(ct_series, tmp_path, content):
    ct_series(tmp_path / "ct")
    (tmp_path / "junk").write_bytes(content)

    found = index(tmp_path)

    assert (found.not_dicom, found.unreadable, len(found)) == (1, 0, 1)


@given(st.sampled_from([b"", b"\x08\0", b"\0\x08", b"\x02\0", b"\x08\0\x05\0"]), st.binary(max_size=600))
@example(b"\x08\0", b"")
def test_random_bytes_are_no_image(start, rest):
    assert start_of(start + rest) is None
    assert encoding_of(start + rest) is None


def test_telling_junk_from_images_takes_no_time():
    content = np.random.default_rng(0).bytes(16_384)

    began = time.process_time()
    for _ in range(10_000):
        start_of(content)

    assert time.process_time() - began < 1.0


@pytest.mark.parametrize("name", ["DICOMDIR", "dicomdir", "DICOMDIR;1", "DICOMDIR.", "DICOMDIR.;1"])
def test_a_directory_is_known_by_its_name_as_media_write_it(ct_series, tmp_path, name):
    folder = ct_series(tmp_path / "CT")
    (tmp_path / name).write_bytes((folder / "000001.dcm").read_bytes())

    found = index(tmp_path)

    assert (found.not_dicom, found.unreadable, found[0].n_files) == (1, 0, 10)


def test_a_directory_of_any_other_name_is_known_by_its_class(ct_series, tmp_path):
    folder = ct_series(tmp_path / "CT")
    directory = Dataset()
    directory.FileSetID, directory.DirectoryRecordSequence = "CD", []
    directory.file_meta = pydicom.dcmread(folder / "000001.dcm").file_meta
    directory.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    directory.save_as(tmp_path / "INDEX", enforce_file_format=True)

    found = index(tmp_path)

    assert (found.not_dicom, found.unreadable) == (1, 0)


def test_files_of_a_cd_may_have_any_name(ct_series, tmp_path):
    folder = ct_series(tmp_path / "DICOM" / "PA000001" / "ST000001")
    for number, path in enumerate(sorted(folder.iterdir())):
        path.rename(folder / f"IM{number:06d}.;1")

    assert index(tmp_path)[0].usable
