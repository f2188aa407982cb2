"""Whose study it is: copied as the source has it, whatever that is, to the documents and to nowhere else."""

import logging
import os
import warnings

import pydicom
import pytest
from pydicom.dataelem import DataElement

from lidcflow.dicom.quiet import quiet
from lidcflow.documents.encode import made_documents
from lidcflow.documents.write import KEY_OBJECTS, STRUCTURED_REPORT, gets_documents, write_documents
from tests.documents.small_study import CREATED_NS, answer, header_of, series_in

FILES = (KEY_OBJECTS, STRUCTURED_REPORT)
PATIENT_NAME, PATIENT_ID = 0x00100010, 0x00100020
NAMES = {
    "ISO_IR 100": "Müller^Jörg",
    "ISO_IR 192": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "\\ISO 2022 IR 87": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "ISO 2022 IR 13\\ISO 2022 IR 87": "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    "GB18030": "Wang^XiaoDong=王^小东",
    "\\ISO 2022 IR 149": "Hong^Gildong=洪^吉洞=홍^길동",
}


def stored(path, tag):
    """Return a value as it lies in the file, without padding."""
    element = pydicom.dcmread(path, stop_before_pixels=True).get_item(tag)
    value = element.value if element is not None else None
    return value.rstrip(b" \0") if isinstance(value, bytes) else value


@pytest.mark.parametrize("charset", NAMES)
def test_a_name_is_copied_byte_for_byte_in_its_character_set(documented, tmp_path, ct_series, charset, dsrdump):
    charsets = charset.split("\\")
    source = ct_series(tmp_path / "source", SpecificCharacterSet=charsets, PatientName=NAMES[charset])

    folder, _ = documented(source)

    for name in FILES:
        document = pydicom.dcmread(folder / name)
        assert stored(folder / name, PATIENT_NAME) == stored(source / "000001.dcm", PATIENT_NAME)
        assert str(document.PatientName) == NAMES[charset]
        assert "Research use only, not for diagnosis." in dsrdump(folder / name)


ODD = {
    "nothing is said of the patient": {"PatientID": None},
    "the elements are there and empty": dict.fromkeys(
        ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyID", "AccessionNumber"), ""
    ),
    "another representation": {"PatientName": DataElement(PATIENT_NAME, "LO", "Lovelace, Ada")},
    "values that are none": {"PatientSex": "female", "PatientBirthDate": "10 Dec 1815", "StudyTime": "10:11"},
    "a character set that nobody knows": {"SpecificCharacterSet": "UTF8"},
    "bytes that no character set holds": {"PatientName": DataElement(PATIENT_NAME, "UN", b"L\xf6velace\xff\xfe")},
    "a time zone that is none": {"TimezoneOffsetFromUTC": "CET"},
    "a series number that is none": {"SeriesNumber": DataElement(0x00200011, "LO", "three")},
    "a negative series number": {"SeriesNumber": -3},
    "a name longer than any": {"PatientName": "L" * 3000},
    "an empty sequence in place of a text": {"StudyDescription": DataElement(0x00081030, "SQ", [])},
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("verdict", ["ranges", "not-evaluated"])
def test_an_odd_header_gives_documents_that_can_be_read(documented, tmp_path, ct_series, odd, verdict, dsrdump):
    source = ct_series(tmp_path / "source", **ODD[odd])

    folder, said = documented(source, verdict)

    for name in FILES:
        assert "(research use only)" in dsrdump(folder / name)
        assert pydicom.dcmread(folder / name).StudyInstanceUID == said.study_instance_uid


def test_private_elements_and_what_is_not_patient_or_study_stay_behind(documented, tmp_path, ct_series):
    source = ct_series(tmp_path / "source", InstitutionName="Hospital", PatientComments="rather ill")
    for path in source.iterdir():
        image = pydicom.dcmread(path)
        image.private_block(0x0009, "ACME", create=True).add_new(1, "LO", "secret")
        image.save_as(path)

    folder, _ = documented(source)

    for name in FILES:
        content = (folder / name).read_bytes()
        assert not any(word in content for word in (b"Hospital", b"rather ill", b"secret", b"ACME"))


def test_neither_log_nor_warning_repeats_an_odd_name(documented, tmp_path, ct_series, caplog, capfd):
    with quiet():
        source = ct_series(tmp_path / "source", PatientName="CANARY Ada\x7f=a=b=c=d", SpecificCharacterSet="CANARY2")
    caplog.set_level(logging.DEBUG)

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        documented(source)

    assert "CANARY" not in caplog.text + "".join(str(one.message) for one in warned) + "".join(capfd.readouterr())


def test_documents_are_for_their_owner_alone(documented, tmp_path, ct_series):
    folder, _ = documented(ct_series(tmp_path / "source"), name="out/study/series")

    modes = {path: path.stat().st_mode & 0o777 for path in [tmp_path / "out", *(tmp_path / "out").rglob("*")]}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}
    assert {path.name for path in folder.iterdir()} == set(FILES)


def test_a_document_that_can_not_be_written_leaves_the_earlier_ones(documented, tmp_path, ct_series, monkeypatch):
    source = ct_series(tmp_path / "source")
    folder, _ = documented(source)
    before = {name: (folder / name).read_bytes() for name in FILES}
    series = series_in(source)
    monkeypatch.setattr(os, "utime", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space left on device")))

    made = made_documents(answer(series, "not-evaluated"), header_of(series), created_ns=CREATED_NS)
    with pytest.raises(OSError, match="No space"):
        write_documents(made, folder, created_ns=CREATED_NS)

    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_what_is_no_ct_volume_gets_no_documents(tmp_path, ct_series):
    said = answer(series_in(ct_series(tmp_path / "source")), "not-evaluated")

    for code, wanted in {"not-ct": False, "localizer": False, "missing-slices": True}.items():
        other = said.model_copy(update={"reason": said.reason.model_copy(update={"code": code})})
        assert gets_documents(other) is wanted
