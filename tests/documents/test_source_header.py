"""The header that documents are made with."""

import pytest
from pydicom.config import disable_value_validation

from lidcflow.config import Access
from lidcflow.documents.source_header import check_one_subject, document_source, source_header
from lidcflow.errors import DocumentError
from lidcflow.source.files import SourceFile
from tests.documents.small_study import answer, header_of, series_in


@pytest.mark.parametrize(
    ("keyword", "value", "found"),
    [
        ("StudyInstanceUID", None, "StudyInstanceUID must be a UID, got none"),
        ("StudyInstanceUID", "Lovelace", "got 8 characters that are none"),
        ("SOPClassUID", None, "SOPClassUID must be a UID"),
        ("Rows", None, "one without Rows"),
        ("StudyInstanceUID", "1.2.3", "must be of the series that was read"),
        ("SeriesInstanceUID", "1.2.3", "must be of the series that was read"),
    ],
)
def test_a_header_that_lacks_what_documents_need_is_refused(tmp_path, ct_series, keyword, value, found):
    series = series_in(ct_series(tmp_path / "source"))
    said, header = answer(series, "ranges"), header_of(series)
    del header[keyword]
    if value:
        with disable_value_validation():
            setattr(header, keyword, value)

    with pytest.raises(DocumentError, match=found):
        document_source(header, said)


@pytest.mark.parametrize("content", [None, b"", b"no DICOM" * 100])
def test_an_image_that_is_gone_or_spoilt_is_told_without_its_path(tmp_path, content):
    path = tmp_path / "Lovelace.dcm"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(DocumentError, match="must be") as raised:
        document_source(source_header(SourceFile(str(path), 10, ""), Access()), None)

    assert "Lovelace" not in str(raised.value)


def test_a_series_of_two_patients_gets_no_documents_for_either(tmp_path, ct_series):
    said = answer(series_in(ct_series(tmp_path / "source")), "not-evaluated")
    mixed = said.model_copy(update={"reason": said.reason.model_copy(update={"code": "mixed-identity"})})

    with pytest.raises(DocumentError, match="one patient and study"):
        check_one_subject(mixed)
    with pytest.raises(DocumentError, match="one patient and study"):
        check_one_subject(said.model_copy(update={"study_instance_uid": None}))


def test_an_object_of_a_bucket_gives_its_header(objects, tmp_path, ct_series):
    from lidcflow.objects import bucket_of

    path = ct_series(tmp_path / "source", PatientName="Lovelace^Ada") / "000001.dcm"
    bucket_of("s3://bucket", objects.access).put("a/1.dcm", path.read_bytes())

    header = source_header(SourceFile("s3://bucket/a/1.dcm", path.stat().st_size, ""), objects.access)

    assert header.PatientName == "Lovelace^Ada"
    assert "PixelData" not in header
    with pytest.raises(DocumentError, match="must be there"):
        source_header(SourceFile("s3://bucket/a/gone.dcm", 10, ""), objects.access)
